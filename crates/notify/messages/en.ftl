# Every text of every message. A message is written in one language as a whole.

greeting = Hello { $first_name },

onboarding-subject = Your account at { $workspace }
onboarding-by = { $actor } has created an account for you at { $workspace }.
onboarding-by-nobody = An account has been created for you at { $workspace }.
onboarding-username = Your username is { $username }.
onboarding-begin = Begin here: { $link }
onboarding-begin-nowhere = Your colleagues at { $workspace } will tell you where to begin.

granted-subject = You now have access to { $workspace }
granted-by = { $actor } has given you access to { $workspace }.
granted-by-nobody = You have been given access to { $workspace }.
granted-roles = Your roles there: { $roles }.
granted-roles-none = No roles have been given to you there yet.
granted-home = You still belong to { $home }. Sign in as usual, with the account you have.
granted-leave = To leave { $workspace }: { $link }
granted-leave-nowhere = If you want to leave { $workspace }, tell the people who manage { $home }.

requested-subject = { $workspace } would like to give you access
requested-by = { $actor } would like to give you access to { $workspace }.
requested-by-nobody = { $workspace } would like to give you access.
requested-nothing-yet = Nothing happens until you accept. You still belong to { $home }.
requested-answer = Accept or decline here: { $link }
requested-answer-nowhere = To accept or decline, ask the people who manage { $home }.

unexpected = You did not expect this? Write to { $support_contact }.
unexpected-nobody = You did not expect this? Tell the people who manage { $home }.
signature = { $home }

sms-onboarding = { $workspace }: an account has been created for you. { $link }
sms-onboarding-nowhere = { $workspace }: an account has been created for you.
sms-granted = { $workspace }: you now have access. Sign in as usual. { $link }
sms-granted-nowhere = { $workspace }: you now have access. Sign in as usual.
sms-requested = { $workspace } would like to give you access. Accept or decline: { $link }
sms-requested-nowhere = { $workspace } would like to give you access. To accept or decline, ask the people who manage your account.
