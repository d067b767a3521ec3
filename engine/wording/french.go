package wording

import (
	"fmt"
	"time"

	"relais/engine"
)

var french = texts{
	topic(engine.MsgOffer): {
		PartSMS: {
			"{clinic}: une place se libère {when}. Répondez OUI ou NON. [{link} ]ARRET pour cesser.",
			"{clinic}: une place se libère {when}. Répondez OUI ou NON. ARRET pour cesser.",
			"{clinic}: place libre {when}. OUI ou NON? ARRET pour cesser.",
		},
		PartVoice:   {"Bonjour. Ici {clinic}. Une place se libère {when}. Pour la prendre, faites le 1. Pour la laisser, faites le 2. Pour parler à quelqu'un de la clinique, faites le 9."},
		PartSubject: {"Une place se libère {when}"},
		PartTitle:   {"Une place se libère"},
		PartEmail: {"Une place se libère à {clinic} :\n{when}\n" +
			"La première personne qui confirme obtient la place. Répondez avant le {before}.\n" +
			"Si vous ne pouvez pas, vous gardez votre rang sur la liste."},
		PartButton: {"Oui, voir la place"},
	},
	topic(engine.MsgReminder): {
		PartSMS: {
			"Rappel, {clinic}: la place du {when} est encore libre. Répondez OUI ou NON. ARRET pour cesser.",
			"{clinic}: place du {when} encore libre. OUI ou NON? ARRET pour cesser.",
		},
		PartVoice:   {"Bonjour. Ici {clinic}. Une place se libère {when}. Pour la prendre, faites le 1. Pour la laisser, faites le 2. Pour parler à quelqu'un de la clinique, faites le 9."},
		PartSubject: {"Rappel : une place est encore libre {when}"},
		PartTitle:   {"La place est encore libre"},
		PartEmail:   {"La place offerte par {clinic} est encore libre :\n{when}\nRépondez avant le {before}."},
		PartButton:  {"Oui, voir la place"},
	},
	topic(engine.MsgFinalising): {
		PartSMS:     {"{clinic}: votre OUI pour le {when} est noté. Nous finalisons et vous confirmons sous peu."},
		PartSubject: {"Votre réponse est notée"},
		PartTitle:   {"Votre réponse est notée"},
		PartEmail: {"Vous avez accepté la place du {when} à {clinic}.\n" +
			"Nous finalisons avec le système de la clinique et vous confirmons sous peu."},
	},
	topic(engine.MsgBooked): {
		PartSMS: {
			"{clinic}: c'est confirmé, votre rendez-vous est le {when}.[ Pour annuler: {phone}.][ Agenda: {link}]",
			"{clinic}: c'est confirmé, votre rendez-vous est le {when}.[ {link}]",
			"{clinic}: c'est confirmé, votre rendez-vous est le {when}.[ {address}.][ Pour annuler: {phone}]",
			"{clinic}: c'est confirmé, votre rendez-vous est le {when}.[ Pour annuler: {phone}]",
			"{clinic}: rendez-vous confirmé le {when}.",
		},
		PartSubject: {"Rendez-vous confirmé {when}"},
		PartTitle:   {"C’est confirmé"},
		PartEmail:   {"Votre rendez-vous à {clinic} :\n{when}\n[{address}]\n[Pour l’annuler ou poser une question : {phone}]"},
	},
	topic(engine.MsgRefused): {
		PartSMS: {
			"{clinic}: désolé, la place du {when} venait de partir à la clinique. Vous serez parmi les premiers pour la prochaine.",
			"{clinic}: désolé, la place vient de partir. Vous passez en premier la prochaine fois.",
		},
		PartSubject: {"La place n’était plus libre"},
		PartTitle:   {"La place n’était plus libre"},
		PartEmail: {"Nous sommes désolés : la place du {when} à {clinic} venait de partir à la clinique.\n" +
			"Vous serez parmi les premiers à qui nous offrirons la prochaine."},
	},
	topic(engine.MsgTaken): {
		PartSMS: {
			"{clinic}: la place du {when} est prise. Vous gardez votre rang sur la liste.",
			"{clinic}: cette place est prise. Vous gardez votre rang.",
		},
		PartSubject: {"La place est prise"},
		PartTitle:   {"La place est prise"},
		PartEmail: {"La place du {when} à {clinic} est prise.\n" +
			"Vous gardez votre rang sur la liste et nous vous écrirons pour la prochaine."},
	},
	topic(engine.MsgWithdrawn): {
		PartSMS: {
			"{clinic}: la place du {when} n'est plus offerte. Vous gardez votre rang sur la liste.",
			"{clinic}: cette place n'est plus offerte. Vous gardez votre rang.",
		},
		PartSubject: {"La place n’est plus offerte"},
		PartTitle:   {"La place n’est plus offerte"},
		PartEmail:   {"La place du {when} à {clinic} n’est plus offerte.\nVous gardez votre rang sur la liste."},
	},
	topic(engine.MsgEnded): {
		PartSMS: {
			"{clinic}: vos rendez-vous ont changé, alors l'offre du {when} est retirée.[ Questions: {phone}]",
			"{clinic}: vos rendez-vous ont changé, alors l'offre est retirée.",
		},
		PartSubject: {"L’offre est retirée"},
		PartTitle:   {"L’offre est retirée"},
		PartEmail:   {"Vos rendez-vous à {clinic} ont changé, alors l’offre du {when} est retirée.[ Questions : {phone}]"},
		PartVoice:   {"Bonjour. Ici {clinic}. Vos rendez-vous ont changé, alors l'offre du {when} est retirée."},
	},
	topic(engine.MsgConfirm): {
		PartSMS: {"{clinic}: pouvons-nous vous écrire ici quand une place se libère? Répondez OUI ou NON. ARRET pour cesser."},
	},
	topic(engine.MsgJoin): {
		PartSMS: {
			"{clinic}: le code {code} confirme votre inscription à la liste d'attente. Répondez OUI ou entrez le code. Pas vous? Ignorez ce texto.",
			"{clinic}: code {code} pour la liste d'attente. Répondez OUI ou entrez le code. Pas vous? Ignorez ce texto.",
		},
		PartSubject: {"Confirmez votre inscription"},
		PartTitle:   {"Confirmez votre inscription"},
		PartEmail: {"Quelqu’un, sans doute vous, a donné cette adresse pour s’inscrire à la liste d’attente de {clinic}.\n" +
			"Pour confirmer, ouvrez la page ci-dessous dans les 72 heures, ou entrez le code {code} sur la page d’inscription.\n" +
			"Si ce n’est pas vous, ne faites rien : rien ne sera gardé."},
		PartButton: {"Confirmer mon inscription"},
	},
	topic(engine.MsgWelcome): {
		PartSMS: {
			"{clinic}: votre inscription à la liste est faite. Gardez ce lien vers votre page: {link} ARRET pour cesser.",
			"{clinic}: inscription faite. Votre page: {link} ARRET pour cesser.",
			"Inscription faite. Votre page: {link} ARRET pour cesser.",
		},
		PartSubject: {"Votre inscription est reçue"},
		PartTitle:   {"Votre inscription est reçue"},
		PartEmail: {"Votre inscription à la liste d’attente de {clinic} est reçue.\n" +
			"La clinique la relie à votre dossier, puis vous recevrez ses offres quand une place se libère.\n" +
			"Gardez ce message : il mène à votre page, où vous pouvez tout changer ou quitter la liste."},
		PartButton: {"Ouvrir ma page"},
	},
	topic(engine.MsgLink): {
		PartSMS: {
			"{clinic}: voici le lien vers votre page de la liste d'attente: {link} ARRET pour cesser.",
			"{clinic}: votre page: {link} ARRET pour cesser.",
			"Votre page: {link} ARRET pour cesser.",
		},
		PartSubject: {"Le lien vers votre page"},
		PartTitle:   {"Le lien vers votre page"},
		PartEmail: {"Voici le lien vers votre page de la liste d’attente de {clinic}.\n" +
			"Vous pouvez y changer vos préférences, faire une pause ou quitter la liste.\n" +
			"Si vous n’avez rien demandé, ne faites rien."},
		PartButton: {"Ouvrir ma page"},
	},
	topic(engine.MsgStill): {
		PartSMS: {
			"{clinic}: attendez-vous toujours une place? Répondez OUI pour rester sur la liste ou NON pour la quitter. [{link} ]ARRET pour cesser.",
			"{clinic}: attendez-vous toujours une place? Répondez OUI pour rester sur la liste ou NON pour la quitter. ARRET pour cesser.",
			"{clinic}: toujours sur la liste? Répondez OUI ou NON. ARRET pour cesser.",
		},
		PartSubject: {"Attendez-vous toujours une place?"},
		PartTitle:   {"Attendez-vous toujours une place?"},
		PartEmail: {"Vous êtes sur la liste d’attente de {clinic} depuis quelque temps.\n" +
			"Dites-nous sur votre page si vous attendez toujours. Sans réponse, nous cesserons pour l’instant de vous offrir des places et la clinique le saura."},
		PartButton: {"Répondre sur ma page"},
	},
	TopicCall: {
		PartVoicemail: {"Bonjour. Ici {clinic}. Merci de nous rappeler[ au {phone}]."},
		PartGoodbye:   {"Merci et bonne journée."},
	},
	TopicChoose:                      {PartSMS: {"Quelle place voulez-vous? Répondez par le numéro."}},
	TopicLeave:                       {PartSMS: {"Quelle place laissez-vous? Répondez par le numéro."}},
	replyTopic(engine.AnsBooked):     {PartSMS: {"C'est confirmé: {clinic}, le {when}. Merci!"}},
	replyTopic(engine.AnsFinalising): {PartSMS: {"Votre OUI pour le {when} est noté. Nous finalisons avec la clinique et vous confirmons sous peu."}},
	replyTopic(engine.AnsTaken): {PartSMS: {
		"Désolé, cette place vient de partir. Vous gardez votre rang sur la liste et nous vous préviendrons pour la prochaine.",
	}},
	replyTopic(engine.AnsExpired):   {PartSMS: {"Désolé, le délai pour cette place est passé. Vous gardez votre rang sur la liste."}},
	replyTopic(engine.AnsWithdrawn): {PartSMS: {"Désolé, cette place n'est plus offerte. Vous gardez votre rang sur la liste."}},
	replyTopic(engine.AnsDeclined):  {PartSMS: {"C'est noté, merci d'avoir répondu. Vous gardez votre rang sur la liste."}},
	replyTopic(engine.AnsStopped): {PartSMS: {
		"C'est fait: vous ne recevrez plus nos messages ici. Pour revenir, répondez START.[ Questions: {phone}]",
	}, PartVoice: {"C'est fait. Nous ne vous appellerons plus et ne vous écrirons plus à ce numéro. Pour revenir, textez le mot START."}},
	replyTopic(engine.AnsStarted): {PartSMS: {"C'est fait: vous recevrez de nouveau nos offres. Répondez ARRET pour cesser."}},
	replyTopic(engine.AnsHelp): {PartSMS: {
		"{clinic}: nous offrons les places qui se libèrent. OUI pour accepter, NON pour refuser, ARRET pour cesser.[ Tél. {phone}]",
	}},
	replyTopic(engine.AnsUnclear): {PartSMS: {
		"Nous n'avons pas compris. Répondez OUI pour prendre la place ou NON pour la laisser.[ Questions: {phone}]",
	}, PartVoice: {"Désolé, nous n'avons pas compris. Nous transmettons vos paroles à la clinique, et la place vous est toujours offerte. Au revoir."}},
	replyTopic(engine.AnsNone): {PartSMS: {
		"Nous n'avons aucune offre en cours pour ce numéro. Répondez ARRET pour ne plus recevoir de messages.",
	}},
	replyTopic(engine.AnsConsented):      {PartSMS: {"C'est noté: nous vous écrirons ici quand une place se libère. Répondez ARRET pour cesser."}},
	replyTopic(engine.AnsRefusedConsent): {PartSMS: {"C'est noté: nous ne vous écrirons pas ici.[ Questions: {phone}]"}},
	replyTopic(engine.AnsJoined):         {PartSMS: {"C'est confirmé: votre inscription est faite. La clinique la relie à votre dossier, puis vous recevrez ses offres."}},
	replyTopic(engine.AnsNotJoined):      {PartSMS: {"C'est noté: rien n'est gardé."}},
	replyTopic(engine.AnsStays):          {PartSMS: {"Merci: vous restez sur la liste."}},
	replyTopic(engine.AnsLeaves):         {PartSMS: {"C'est fait: vous avez quitté la liste.[ Questions: {phone}]"}},
	replyTopic(engine.AnsPaused):         {PartSMS: {"Cette place est en attente à la clinique. Nous vous répondrons dès que possible."}},
	replyTopic(engine.AnsRefused): {PartSMS: {
		"Désolé, la place venait de partir à la clinique. Vous serez parmi les premiers pour la prochaine.",
	}},
}

var (
	joursFR = [...]string{"dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"}
	moisFR  = [...]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"}
)

// dayFrench follows the Office québécois de la langue française: "le mardi 24 novembre à 9 h 20",
// "1er", "9 h" on the hour.
func dayFrench(t time.Time) string {
	day := fmt.Sprint(t.Day())
	if t.Day() == 1 {
		day = "1er"
	}
	clock := fmt.Sprintf("%d\u00a0h", t.Hour())
	if t.Minute() > 0 {
		clock += fmt.Sprintf("\u00a0%02d", t.Minute())
	}
	return fmt.Sprintf("%s %s %s à %s", joursFR[t.Weekday()], day, moisFR[t.Month()-1], clock)
}
