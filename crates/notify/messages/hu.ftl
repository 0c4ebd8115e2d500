# Minden üzenet minden szövege. Egy üzenet egészében egy nyelven íródik.

greeting = Kedves { $first_name }!

onboarding-subject = { $workspace }: elkészült az Ön fiókja
onboarding-by = { $actor } fiókot hozott létre Önnek itt: { $workspace }.
onboarding-by-nobody = Fiók készült Önnek itt: { $workspace }.
onboarding-username = Az Ön felhasználóneve: { $username }.
onboarding-begin = Itt kezdheti el: { $link }
onboarding-begin-nowhere = Azt, hogy hol kezdje, új munkatársaitól tudhatja meg ({ $workspace }).

granted-subject = Mostantól hozzáfér ehhez: { $workspace }
granted-by = { $actor } hozzáférést adott Önnek ehhez: { $workspace }.
granted-by-nobody = Hozzáférést kapott ehhez: { $workspace }.
granted-roles = Szerepkörei ott: { $roles }.
granted-roles-none = Szerepkört ott egyelőre nem kapott.
granted-home = Ön továbbra is ide tartozik: { $home }. Jelentkezzen be a szokásos módon, meglévő fiókjával.
granted-leave = Itt mondhat le a hozzáférésről ({ $workspace }): { $link }
granted-leave-nowhere = Ha le szeretne mondani a hozzáférésről ({ $workspace }), jelezze az Ön fiókjáért felelős munkatársaknak ({ $home }).

requested-subject = { $workspace } hozzáférést szeretne adni Önnek
requested-by = { $actor } hozzáférést szeretne adni Önnek ehhez: { $workspace }.
requested-by-nobody = { $workspace } hozzáférést szeretne adni Önnek.
requested-nothing-yet = Amíg el nem fogadja, semmi sem történik. Ön továbbra is ide tartozik: { $home }.
requested-answer = Itt fogadhatja el vagy utasíthatja el: { $link }
requested-answer-nowhere = Az elfogadáshoz vagy elutasításhoz forduljon az Ön fiókjáért felelős munkatársakhoz ({ $home }).

unexpected = Nem számított erre az üzenetre? Írjon ide: { $support_contact }.
unexpected-nobody = Nem számított erre az üzenetre? Jelezze az Ön fiókjáért felelős munkatársaknak ({ $home }).
signature = { $home }

sms-onboarding = { $workspace }: elkészült az Ön fiókja. { $link }
sms-onboarding-nowhere = { $workspace }: elkészült az Ön fiókja.
sms-granted = { $workspace }: mostantól hozzáfér. Belépés a szokásos módon. { $link }
sms-granted-nowhere = { $workspace }: mostantól hozzáfér. Belépés a szokásos módon.
sms-requested = { $workspace } hozzáférést adna Önnek. Elfogadás vagy elutasítás: { $link }
sms-requested-nowhere = { $workspace } hozzáférést adna Önnek. A válaszhoz forduljon a fiókjáért felelős munkatársakhoz.
