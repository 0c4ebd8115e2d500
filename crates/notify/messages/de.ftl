# Alle Texte aller Nachrichten. Eine Nachricht wird als Ganzes in einer Sprache geschrieben.

greeting = Guten Tag { $first_name },

onboarding-subject = Ihr Konto bei { $workspace }
onboarding-by = { $actor } hat für Sie ein Konto bei { $workspace } angelegt.
onboarding-by-nobody = Für Sie wurde ein Konto bei { $workspace } angelegt.
onboarding-username = Ihr Benutzername lautet { $username }.
onboarding-begin = Hier beginnen Sie: { $link }
onboarding-begin-nowhere = Ihre Kolleginnen und Kollegen bei { $workspace } sagen Ihnen, wo Sie beginnen.

granted-subject = Sie haben jetzt Zugang zu { $workspace }
granted-by = { $actor } hat Ihnen Zugang zu { $workspace } gegeben.
granted-by-nobody = Sie haben Zugang zu { $workspace } erhalten.
granted-roles = Ihre Rollen dort: { $roles }.
granted-roles-none = Ihnen wurden dort noch keine Rollen gegeben.
granted-home = Sie gehören weiterhin zu { $home }. Melden Sie sich wie gewohnt an, mit Ihrem bestehenden Konto.
granted-leave = So verlassen Sie { $workspace }: { $link }
granted-leave-nowhere = Wenn Sie { $workspace } verlassen möchten, sagen Sie es den Verantwortlichen von { $home }.

requested-subject = { $workspace } möchte Ihnen Zugang geben
requested-by = { $actor } möchte Ihnen Zugang zu { $workspace } geben.
requested-by-nobody = { $workspace } möchte Ihnen Zugang geben.
requested-nothing-yet = Es geschieht nichts, bevor Sie zustimmen. Sie gehören weiterhin zu { $home }.
requested-answer = Hier stimmen Sie zu oder lehnen ab: { $link }
requested-answer-nowhere = Zum Zustimmen oder Ablehnen wenden Sie sich an die Verantwortlichen von { $home }.

unexpected = Das kommt unerwartet? Schreiben Sie an { $support_contact }.
unexpected-nobody = Das kommt unerwartet? Wenden Sie sich an die Verantwortlichen von { $home }.
signature = { $home }

sms-onboarding = { $workspace }: Für Sie wurde ein Konto angelegt. { $link }
sms-onboarding-nowhere = { $workspace }: Für Sie wurde ein Konto angelegt.
sms-granted = { $workspace }: Sie haben jetzt Zugang. Anmeldung wie gewohnt. { $link }
sms-granted-nowhere = { $workspace }: Sie haben jetzt Zugang. Anmeldung wie gewohnt.
sms-requested = { $workspace } möchte Ihnen Zugang geben. Zustimmen oder ablehnen: { $link }
sms-requested-nowhere = { $workspace } möchte Ihnen Zugang geben. Zum Antworten wenden Sie sich an die Verantwortlichen Ihres Kontos.
