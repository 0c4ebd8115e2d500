# جميع نصوص جميع الرسائل. تُكتب كل رسالة بأكملها بلغة واحدة.

greeting = مرحبًا { $first_name }،

onboarding-subject = حسابكم لدى { $workspace }
onboarding-by = أُنشئ لكم حساب لدى { $workspace } بواسطة { $actor }.
onboarding-by-nobody = أُنشئ لكم حساب لدى { $workspace }.
onboarding-username = اسم المستخدم الخاص بكم: { $username }.
onboarding-begin = يمكنكم البدء من هنا: { $link }
onboarding-begin-nowhere = سيخبركم زملاؤكم لدى { $workspace } من أين تبدؤون.

granted-subject = يمكنكم الآن الوصول إلى { $workspace }
granted-by = مُنحتم حق الوصول إلى { $workspace } بواسطة { $actor }.
granted-by-nobody = مُنحتم حق الوصول إلى { $workspace }.
granted-roles = أدواركم هناك: { $roles }.
granted-roles-none = لم تُسند إليكم أي أدوار هناك بعد.
granted-home = ما زلتم تنتمون إلى { $home }. يُرجى تسجيل الدخول كالمعتاد بحسابكم الحالي.
granted-leave = لمغادرة { $workspace }: { $link }
granted-leave-nowhere = إذا رغبتم في مغادرة { $workspace }، فيُرجى إبلاغ المسؤولين لدى { $home }.

requested-subject = دعوة للوصول إلى { $workspace }
requested-by = وُجّهت إليكم دعوة من { $actor } للوصول إلى { $workspace }.
requested-by-nobody = وُجّهت إليكم دعوة للوصول إلى { $workspace }.
requested-nothing-yet = لن يتغير شيء قبل موافقتكم. ما زلتم تنتمون إلى { $home }.
requested-answer = للقبول أو الرفض: { $link }
requested-answer-nowhere = للقبول أو الرفض، يُرجى مراجعة المسؤولين لدى { $home }.

unexpected = لم تتوقعوا هذه الرسالة؟ يُرجى مراسلة { $support_contact }.
unexpected-nobody = لم تتوقعوا هذه الرسالة؟ يُرجى إبلاغ المسؤولين لدى { $home }.
signature = { $home }

sms-onboarding = { $workspace }: أُنشئ لكم حساب. { $link }
sms-onboarding-nowhere = { $workspace }: أُنشئ لكم حساب.
sms-granted = { $workspace }: يمكنكم الآن الوصول. تسجيل الدخول كالمعتاد. { $link }
sms-granted-nowhere = { $workspace }: يمكنكم الآن الوصول. تسجيل الدخول كالمعتاد.
sms-requested = دعوة للوصول إلى { $workspace }. للقبول أو الرفض: { $link }
sms-requested-nowhere = دعوة للوصول إلى { $workspace }. للرد، يُرجى مراجعة المسؤولين عن حسابكم.
