package web

import (
	"relais/engine"
	"relais/engine/desk"
)

// ConsentVersion names the text that people agree to on the page where they join; it stands in the proof of
// their consent. Change it with the text.
const ConsentVersion = "2026-11"

// doorWords are the words of the pages where people join, and of their own page's form, in one language.
type doorWords struct {
	JoinTitle, Intro, Mend, Trap                                                  string
	Who, Given, Family, Born, Day, Month, Year                                    string
	Optional                                                                      string
	Relative, RelativeText, ProxyName, Relation                                   string
	Reach, ReachText, Mobile, Calls, Email                                        string
	Language, What, Specialty, Practitioner, Place                                string
	Anywhere, DistanceText, Postal, Distance, Km                                  string
	When, WhenText, Words                                                         string
	Notice                                                                        string
	Consent, ConsentText, Agree, Send                                             string
	Already                                                                       string
	SentTitle, SentText, SentText2                                                string
	Code, Confirm, NoCode                                                         string
	WrongTitle, WrongText, OverTitle, OverText                                    string
	DoneTitle, DoneText, DoneText2, OtherCode                                     string
	AlreadyTitle, AlreadyText                                                     string
	Again                                                                         string
	MailTitle, MailText, ConfirmMail                                              string
	LinkTitle, LinkText, Contact, SendLink                                        string
	LinkSentTitle, LinkSentText                                                   string
	ClosedTitle, ClosedText                                                       string
	BusyTitle, BusyText                                                           string
	PosterTitle, PosterText                                                       string
	Morning, Afternoon, Evening                                                   string
	NoNotice, HoursOf, DayOf, DaysOf                                              string
	Continue, WhoTitle, WhoText, WhoWrong, WhoLocked, WhoLockedText               string
	OwnTitle, OwnProxy, StillTitle, StillYes, StillNo                             string
	ChangeWish, Save, NoWish, PauseTitle, Wake, Until, Pause                      string
	ContactsTitle, Stop, Resume, Remove, AddTitle, AddAgree                       string
	PersonTitle, HoursFrom, HoursUntil                                            string
	OffersTitle, NoOffers, KeptTitle, Kept                                        string
	EndTitle, LeaveText, Leave, WithdrawText, Withdraw                            string
	RenewText, Renew                                                              string
	StatusLinking, StatusWaiting, StatusClaimed, PausedUntil, PausedOpen, Follows string
	FewOthers, SomeOthers, ManyOthers, NotKnown, HalfWithin, Between              string
	Days, Weeks                                                                   string
	ByText, ByCall, ByMail, Here, Stopped, Broken                                 string
	OfferLine                                                                     string
	DoneSaved, DonePaused, DoneWoken, DoneStay, DoneStop, DoneResume, DoneRemove  string
	ByeTitle, ByeLeft, ByeWithdrawn, ByeRenewed, ByeRemoved                       string
	Preferences                                                                   string
	offers                                                                        map[string]string
	faults                                                                        map[string]string
	specialties                                                                   map[engine.Specialty]string
}

var doorWordsOf = map[engine.Lang]*doorWords{
	engine.French: {
		JoinTitle: "S’inscrire à la liste d’attente",
		Intro:     "Quand un rendez-vous se libère, la clinique l’offre aux personnes de sa liste. Remplissez cette page, puis confirmez votre téléphone ou votre courriel.",
		Mend:      "À corriger avant de continuer\u00a0:", Trap: "Laissez ce champ vide",
		Who: "La personne à inscrire", Given: "Prénom", Family: "Nom de famille", Born: "Date de naissance", Day: "Jour", Month: "Mois", Year: "Année",
		Optional: "(si vous voulez)",
		Relative: "J’inscris un proche", RelativeText: "Écrivez plus haut le nom de votre proche, et ici le vôtre. Les offres viendront à vous.",
		ProxyName: "Votre nom", Relation: "Votre lien (par exemple\u00a0: fille, père, aidant)",
		Reach: "Comment vous joindre", ReachText: "Donnez un cellulaire, un courriel ou les deux. Vous recevrez un code pour confirmer que c’est bien le vôtre.",
		Mobile: "Téléphone cellulaire", Calls: "On peut aussi m’appeler à ce numéro (message automatisé)", Email: "Courriel",
		Language: "Langue des messages", What: "Le rendez-vous attendu", Specialty: "Pour quoi?", Practitioner: "Choisir avec qui (sinon\u00a0: n’importe qui)",
		Place: "Choisir où (sinon\u00a0: partout)", Anywhere: "Peu importe la distance",
		DistanceText: "Vous pouvez aussi dire jusqu’où vous iriez. Nous gardons seulement le secteur du code postal.",
		Postal:       "Code postal", Distance: "Distance la plus grande", Km: "%d\u00a0km",
		When: "Quand pouvez-vous venir?", WhenText: "Cochez tout ce qui convient. Rien de coché veut dire n’importe quand.",
		Words:  "Ou dans vos mots (par exemple\u00a0: mardi matin, jeudi après 15 h)",
		Notice: "Combien de temps d’avance vous faut-il?", NoNotice: "Je peux venir tout de suite", HoursOf: "Au moins %d\u00a0h", DayOf: "Au moins 1 jour", DaysOf: "Au moins %d jours",
		Consent:     "Votre accord",
		ConsentText: "La clinique garde ce que vous écrivez ici pour vous offrir des rendez-vous et pour vous relier à votre dossier. Elle vous écrit, ou vous appelle si vous l’avez coché, seulement pour cela. Rien n’est vendu ni transmis à d’autres. Vous pouvez tout changer, cesser les messages ou quitter la liste en tout temps, sur votre page ou en répondant ARRET. Si vous inscrivez un proche, vous confirmez qu’il est d’accord ou que vous pouvez décider pour lui.",
		Agree:       "J’ai lu et j’accepte.", Send: "Continuer", Already: "Déjà inscrit? Recevoir le lien vers ma page",
		SentTitle: "Confirmez que c’est bien vous",
		SentText:  "Si tout est en ordre, un code part à l’instant par texto, par courriel ou les deux. Entrez-le ici. Vous pouvez aussi répondre OUI au texto ou ouvrir le lien du courriel.",
		SentText2: "Le code est bon pendant 72 heures. Rien n’est inscrit avant.",
		Code:      "Code de 6 chiffres", Confirm: "Confirmer",
		NoCode:     "Rien n’arrive? Attendez quelques minutes et regardez vos courriels indésirables. Un numéro qui a répondu ARRET ne reçoit plus rien\u00a0: répondez START au dernier texto, ou appelez la clinique.",
		WrongTitle: "Ce n’est pas le bon code", WrongText: "Vérifiez les six chiffres et essayez encore.",
		OverTitle: "Ce code n’est plus bon", OverText: "Trop d’essais ont été faits, ou le délai est passé. Recommencez l’inscription, ou appelez la clinique.",
		DoneTitle: "C’est confirmé, merci", DoneText: "Nous vous envoyons le lien vers votre page. Vous pourrez y changer vos préférences, faire une pause ou quitter la liste.",
		DoneText2: "La clinique relie maintenant votre inscription à votre dossier. Vous recevrez des offres ensuite.", OtherCode: "J’ai reçu un autre code",
		AlreadyTitle: "C’était déjà confirmé", AlreadyText: "Il n’y a plus rien à faire. Le lien vers votre page est dans le message reçu.",
		Again:     "Recommencer",
		MailTitle: "Confirmez votre courriel", MailText: "Appuyez pour confirmer votre inscription à la liste d’attente. Si vous n’avez rien demandé, fermez cette page.", ConfirmMail: "Oui, c’est moi",
		LinkTitle: "Recevoir le lien vers ma page", LinkText: "Écrivez le cellulaire ou le courriel que la clinique connaît. Si une inscription y est reliée, le lien y part à l’instant.",
		Contact: "Cellulaire ou courriel", SendLink: "Envoyer le lien",
		LinkSentTitle: "C’est noté", LinkSentText: "Si ce téléphone ou ce courriel est confirmé à la clinique, le lien arrive dans quelques minutes. Sinon, appelez-la.",
		ClosedTitle: "On ne peut pas s’inscrire ici", ClosedText: "Cette clinique ne prend pas d’inscription en ligne pour l’instant. Appelez-la pour être mis sur sa liste.",
		BusyTitle: "Réessayez plus tard", BusyText: "Trop de demandes arrivent en ce moment et rien n’a été enregistré. Réessayez dans une heure, ou appelez la clinique.",
		PosterTitle: "Un rendez-vous plus tôt?", PosterText: "Inscrivez-vous à la liste d’attente\u00a0: visez ce code avec l’appareil photo de votre téléphone, ou écrivez l’adresse.",
		Morning: "Matin", Afternoon: "Après-midi", Evening: "Soir",
		Continue: "Continuer", WhoTitle: "D’abord, votre date de naissance",
		WhoText:  "La clinique veut s’assurer que ce lien est bien ouvert par la personne à qui il est destiné. Si vous répondez pour un proche, donnez sa date de naissance.",
		WhoWrong: "Ce n’est pas la date que la clinique connaît. Vérifiez et essayez encore.", WhoLocked: "Ce lien est bloqué pour aujourd’hui",
		WhoLockedText: "Trop de dates ont été essayées. Appelez la clinique, ou réessayez demain.",
		OwnTitle:      "Votre inscription", OwnProxy: "L’inscription de votre proche",
		StillTitle: "Attendez-vous toujours une place?", StillYes: "Oui, j’attends toujours", StillNo: "Non, retirez-moi de la liste",
		ChangeWish: "Changer ce que j’attends", Save: "Enregistrer", NoWish: "Vous n’êtes plus sur la liste. Pour y revenir, inscrivez-vous de nouveau ou appelez la clinique.",
		PauseTitle: "Faire une pause", Wake: "Recevoir des offres de nouveau", Until: "Ne rien recevoir jusqu’au", Pause: "Faire une pause",
		ContactsTitle: "Comment vous joindre", Stop: "Cesser ici", Resume: "Reprendre ici", Remove: "Retirer", AddTitle: "Ajouter un cellulaire ou un courriel",
		AddAgree:    "Il est à moi et j’accepte d’y recevoir les offres de la clinique.",
		PersonTitle: "Langue et heures", HoursFrom: "M’écrire à partir de", HoursUntil: "et jusqu’à",
		OffersTitle: "Vos offres des 30 derniers jours", NoOffers: "Aucune offre dans les 30 derniers jours.",
		KeptTitle: "Ce que la clinique garde", Kept: "Le nom, la date de naissance si vous l’avez donnée, ces coordonnées avec votre accord, ce que vous attendez, et l’historique des offres. Pour le voir, le corriger ou le faire effacer, appelez la clinique.",
		EndTitle: "Quitter la liste ou retirer mon accord", LeaveText: "Quitter la liste\u00a0: plus aucune offre. Vos rendez-vous déjà pris restent.", Leave: "Quitter la liste",
		WithdrawText: "Retirer l’accord\u00a0: vous quittez la liste, et la clinique n’utilise plus vos coordonnées ici.", Withdraw: "Retirer mon accord",
		RenewText: "Quelqu’un d’autre a vu ce lien? Rendez-le inutile et recevez-en un nouveau.", Renew: "Changer mon lien",
		StatusLinking: "La clinique relie votre inscription à votre dossier. Les offres viennent ensuite.", StatusWaiting: "Vous êtes sur la liste depuis le %s.",
		StatusClaimed: "Vous avez dit oui à une offre\u00a0: la clinique termine l’inscription.", PausedUntil: "En pause jusqu’au %s.", PausedOpen: "En pause.",
		Follows:   "Cette inscription suit un rendez-vous que vous avez déjà. Pour la changer, appelez la clinique.",
		FewOthers: "Moins de %d autres personnes attendent pour la même chose.", SomeOthers: "Environ %d à %d autres personnes attendent pour la même chose.",
		ManyOthers: "Plus de %d autres personnes attendent pour la même chose.", NotKnown: "Nous ne savons pas encore combien de temps il faut attendre\u00a0: trop peu d’offres ont été faites.",
		HalfWithin: "Ces derniers mois, une personne sur deux a reçu une première offre en %s ou moins.", Between: "Ces derniers mois, une personne sur deux a reçu une première offre en %s, et trois sur quatre en %s.",
		Days: "%d jours", Weeks: "%d semaines",
		ByText: "Textos au %s", ByCall: "Appels au %s", ByMail: "Courriels à %s", Here: "ce lien y est arrivé", Stopped: "rien n’y est envoyé", Broken: "ne fonctionne plus",
		OfferLine: "%s\u00a0: rendez-vous du %s. %s",
		DoneSaved: "C’est enregistré.", DonePaused: "La pause est notée.", DoneWoken: "Vous recevrez des offres de nouveau.", DoneStay: "Merci, vous restez sur la liste.",
		DoneStop: "Plus rien n’y sera envoyé.", DoneResume: "Les messages y reprennent.", DoneRemove: "C’est retiré.",
		ByeTitle: "C’est fait", ByeLeft: "Vous avez quitté la liste. Pour revenir, inscrivez-vous de nouveau ou appelez la clinique.",
		ByeWithdrawn: "Votre accord est retiré et vous avez quitté la liste. Ce lien ne fonctionne plus.", ByeRenewed: "Ce lien ne fonctionne plus. Un nouveau vous est envoyé à l’instant.",
		ByeRemoved: "Ce contact est retiré. Si le lien y était arrivé, il ne fonctionne plus.", Preferences: "Mes préférences, pause ou départ",
		offers: map[string]string{"pending": "Vous pouvez encore répondre.", "won": "Vous l’avez eu.", "declined": "Vous avez dit non.", "lost": "Quelqu’un d’autre l’a eu.", "refused": "La clinique ne l’avait plus.", "ended": "L’offre est finie.", "unreached": "Le message n’a pas pu vous joindre.", "": "L’offre est finie."},
		faults: map[string]string{
			desk.FieldName: "Écrivez le prénom et le nom.", desk.FieldContact: "Donnez un cellulaire ou un courriel.",
			desk.FieldPhone: "Ce numéro n’est pas un cellulaire d’ici. Écrivez-le comme 514 555-0142.", desk.FieldEmail: "Ce courriel n’est pas complet.",
			desk.FieldBorn: "Écrivez la date de naissance\u00a0: jour, mois, année.", desk.FieldConsent: "Cochez votre accord pour continuer.",
			desk.FieldSpecialty: "Choisissez pour quoi vous attendez.", desk.FieldPostal: "Ce code postal n’est pas connu. Écrivez-le comme H2X 1Y4.",
			desk.FieldWhen:  "Nous n’avons pas compris quand vous pouvez venir. Écrivez par exemple\u00a0: mardi matin, jeudi après 15 h.",
			desk.FieldUntil: "Choisissez un jour à venir, d’ici un an.",
		},
		specialties: map[engine.Specialty]string{"dermatology": "Dermatologie", "family-medicine": "Médecine familiale", "family": "Médecine familiale"},
	},
	engine.English: {
		JoinTitle: "Join the waiting list",
		Intro:     "When an appointment opens up, the clinic offers it to the people on its list. Fill in this page, then confirm your phone or your email.",
		Mend:      "To correct before you go on:", Trap: "Leave this field empty",
		Who: "The person to sign up", Given: "First name", Family: "Last name", Born: "Date of birth", Day: "Day", Month: "Month", Year: "Year",
		Optional: "(if you like)",
		Relative: "I am signing up a relative", RelativeText: "Write your relative’s name above, and yours here. Offers will come to you.",
		ProxyName: "Your name", Relation: "How you are related (for example: daughter, father, caregiver)",
		Reach: "How to reach you", ReachText: "Give a mobile phone, an email or both. You will receive a code to confirm that it is yours.",
		Mobile: "Mobile phone", Calls: "You may call me at this number too (automated message)", Email: "Email",
		Language: "Language of the messages", What: "The appointment you wait for", Specialty: "What for?", Practitioner: "Choose with whom (otherwise: anyone)",
		Place: "Choose where (otherwise: anywhere)", Anywhere: "Any distance",
		DistanceText: "You can also say how far you would go. We keep only the area of the postal code.",
		Postal:       "Postal code", Distance: "Longest distance", Km: "%d\u00a0km",
		When: "When can you come?", WhenText: "Check everything that suits you. Nothing checked means any time.",
		Words:  "Or in your own words (for example: Tuesday morning, Thursday after 3 pm)",
		Notice: "How much notice do you need?", NoNotice: "I can come right away", HoursOf: "At least %d hours", DayOf: "At least 1 day", DaysOf: "At least %d days",
		Consent:     "Your agreement",
		ConsentText: "The clinic keeps what you write here to offer you appointments and to link you with your file. It writes to you, or calls if you checked that, for this only. Nothing is sold or passed on. You can change everything, stop the messages or leave the list at any time, on your page or by replying STOP. If you sign up a relative, you confirm that they agree or that you may decide for them.",
		Agree:       "I have read this and I agree.", Send: "Continue", Already: "Signed up already? Get the link to my page",
		SentTitle: "Confirm that it is you",
		SentText:  "If all is in order, a code is leaving now by text, by email or both. Enter it here. You can also reply 1 to the text or open the link in the email.",
		SentText2: "The code is good for 72 hours. Nothing is on the list before.",
		Code:      "6-digit code", Confirm: "Confirm",
		NoCode:     "Nothing comes? Wait a few minutes and look at your junk mail. A number that replied STOP receives nothing any more: reply START to the last text, or call the clinic.",
		WrongTitle: "This is not the right code", WrongText: "Check the six digits and try again.",
		OverTitle: "This code is no longer good", OverText: "There were too many tries, or the time is over. Sign up again, or call the clinic.",
		DoneTitle: "Confirmed, thank you", DoneText: "We are sending you the link to your page. There you can change your preferences, take a break or leave the list.",
		DoneText2: "The clinic now links you with your file. Offers come after that.", OtherCode: "I received another code",
		AlreadyTitle: "This was confirmed already", AlreadyText: "There is nothing left to do. The link to your page is in the message you received.",
		Again:     "Start again",
		MailTitle: "Confirm your email", MailText: "Press to confirm that you join the waiting list. If you asked for nothing, close this page.", ConfirmMail: "Yes, it is me",
		LinkTitle: "Get the link to my page", LinkText: "Write the mobile phone or email that the clinic knows. If somebody is signed up with it, the link leaves now.",
		Contact: "Mobile phone or email", SendLink: "Send the link",
		LinkSentTitle: "Noted", LinkSentText: "If this phone or email is confirmed at the clinic, the link arrives within a few minutes. Otherwise, call the clinic.",
		ClosedTitle: "You cannot sign up here", ClosedText: "This clinic takes nobody online for now. Call it to be put on its list.",
		BusyTitle: "Try again later", BusyText: "Too many requests are coming in and nothing was recorded. Try again in an hour, or call the clinic.",
		PosterTitle: "An earlier appointment?", PosterText: "Join the waiting list: point your phone’s camera at this code, or type the address.",
		Morning: "Morning", Afternoon: "Afternoon", Evening: "Evening",
		Continue: "Continue", WhoTitle: "First, your date of birth",
		WhoText:  "The clinic wants to be sure that this link is opened by the person it is meant for. If you answer for a relative, give their date of birth.",
		WhoWrong: "This is not the date that the clinic knows. Check it and try again.", WhoLocked: "This link is locked for today",
		WhoLockedText: "Too many dates were tried. Call the clinic, or try again tomorrow.",
		OwnTitle:      "Your place on the list", OwnProxy: "Your relative’s place on the list",
		StillTitle: "Are you still waiting for an appointment?", StillYes: "Yes, I am still waiting", StillNo: "No, take me off the list",
		ChangeWish: "Change what I wait for", Save: "Save", NoWish: "You are no longer on the list. To come back, join again or call the clinic.",
		PauseTitle: "Take a break", Wake: "Receive offers again", Until: "Nothing until", Pause: "Take a break",
		ContactsTitle: "How to reach you", Stop: "Stop here", Resume: "Resume here", Remove: "Remove", AddTitle: "Add a mobile phone or an email",
		AddAgree:    "It is mine and I agree to receive the clinic’s offers there.",
		PersonTitle: "Language and hours", HoursFrom: "Write to me from", HoursUntil: "until",
		OffersTitle: "Your offers of the last 30 days", NoOffers: "No offer in the last 30 days.",
		KeptTitle: "What the clinic keeps", Kept: "The name, the date of birth if you gave it, these contacts with your agreement, what you wait for, and the history of offers. To see it, correct it or have it erased, call the clinic.",
		EndTitle: "Leave the list or withdraw my agreement", LeaveText: "Leave the list: no more offers. Appointments that you have stay.", Leave: "Leave the list",
		WithdrawText: "Withdraw the agreement: you leave the list, and the clinic no longer uses your contacts here.", Withdraw: "Withdraw my agreement",
		RenewText: "Somebody else saw this link? Make it useless and receive a new one.", Renew: "Change my link",
		StatusLinking: "The clinic is linking you with your file. Offers come after that.", StatusWaiting: "You have been on the list since %s.",
		StatusClaimed: "You said yes to an offer: the clinic is finishing the booking.", PausedUntil: "On a break until %s.", PausedOpen: "On a break.",
		Follows:   "This follows an appointment that you already have. To change it, call the clinic.",
		FewOthers: "Fewer than %d other people wait for the same.", SomeOthers: "About %d to %d other people wait for the same.",
		ManyOthers: "More than %d other people wait for the same.", NotKnown: "We do not know yet how long the wait is: too few offers were made.",
		HalfWithin: "In the last months, one person in two had a first offer within %s.", Between: "In the last months, one person in two had a first offer within %s, and three in four within %s.",
		Days: "%d days", Weeks: "%d weeks",
		ByText: "Texts to %s", ByCall: "Calls to %s", ByMail: "Emails to %s", Here: "this link came there", Stopped: "nothing is sent there", Broken: "no longer works",
		OfferLine: "%s: appointment of %s. %s",
		DoneSaved: "Saved.", DonePaused: "Your break is noted.", DoneWoken: "You will receive offers again.", DoneStay: "Thank you, you stay on the list.",
		DoneStop: "Nothing will be sent there any more.", DoneResume: "Messages go there again.", DoneRemove: "Removed.",
		ByeTitle: "Done", ByeLeft: "You left the list. To come back, join again or call the clinic.",
		ByeWithdrawn: "Your agreement is withdrawn and you left the list. This link no longer works.", ByeRenewed: "This link no longer works. A new one is being sent to you now.",
		ByeRemoved: "This contact is removed. If the link came there, it no longer works.", Preferences: "My preferences, a break or leaving",
		offers: map[string]string{"pending": "You can still answer.", "won": "You got it.", "declined": "You said no.", "lost": "Somebody else got it.", "refused": "The clinic no longer had it.", "ended": "The offer is over.", "unreached": "The message could not reach you.", "": "The offer is over."},
		faults: map[string]string{
			desk.FieldName: "Write the first and last name.", desk.FieldContact: "Give a mobile phone or an email.",
			desk.FieldPhone: "This is not a mobile number from here. Write it like 514 555-0142.", desk.FieldEmail: "This email is not complete.",
			desk.FieldBorn: "Write the date of birth: day, month, year.", desk.FieldConsent: "Check your agreement to go on.",
			desk.FieldSpecialty: "Choose what you wait for.", desk.FieldPostal: "This postal code is not known. Write it like H2X 1Y4.",
			desk.FieldWhen:  "We could not read when you can come. Write for example: Tuesday morning, Thursday after 3 pm.",
			desk.FieldUntil: "Choose a day to come, within a year.",
		},
		specialties: map[engine.Specialty]string{"dermatology": "Dermatology", "family-medicine": "Family medicine", "family": "Family medicine"},
	},
}

// specialty is how people call a specialty; a code that is not known stands for itself.
func (w *doorWords) specialty(s engine.Specialty) string {
	if name := w.specialties[s]; name != "" {
		return name
	}
	return string(s)
}
