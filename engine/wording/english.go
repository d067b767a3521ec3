package wording

import (
	"strings"
	"time"

	"relais/engine"
)

// In English people answer 1 or 2: YES is a word that some carriers keep for themselves.
var english = texts{
	topic(engine.MsgOffer): {
		PartSMS: {
			"{clinic}: an appointment opened up on {when}. Reply 1 to take it, 2 if not. [{link} ]STOP to opt out.",
			"{clinic}: an appointment opened up on {when}. Reply 1 to take it, 2 if not. STOP to opt out.",
			"{clinic}: opening {when}. Reply 1 to take it, 2 if not. STOP to opt out.",
		},
		PartVoice:   {"Hello. This is {clinic}. An appointment opened up on {when}. To take it, press 1. To leave it, press 2. To talk to somebody at the clinic, press 9."},
		PartSubject: {"An appointment opened up on {when}"},
		PartTitle:   {"An appointment opened up"},
		PartEmail: {"{clinic} has an opening:\n{when}\n" +
			"The first person to confirm gets it. Please answer before {before}.\n" +
			"If you cannot come, you keep your place on the list."},
		PartButton: {"Yes, see the opening"},
	},
	topic(engine.MsgReminder): {
		PartSMS: {
			"Reminder, {clinic}: the opening on {when} is still free. Reply 1 to take it, 2 if not. STOP to opt out.",
			"{clinic}: {when} is still free. Reply 1 or 2. STOP to opt out.",
		},
		PartVoice:   {"Hello. This is {clinic}. An appointment opened up on {when}. To take it, press 1. To leave it, press 2. To talk to somebody at the clinic, press 9."},
		PartSubject: {"Reminder: still free on {when}"},
		PartTitle:   {"It is still free"},
		PartEmail:   {"The opening at {clinic} is still free:\n{when}\nPlease answer before {before}."},
		PartButton:  {"Yes, see the opening"},
	},
	topic(engine.MsgFinalising): {
		PartSMS:     {"{clinic}: we have your answer for {when}. We are finalizing it and will confirm soon."},
		PartSubject: {"We have your answer"},
		PartTitle:   {"We have your answer"},
		PartEmail: {"You accepted the opening on {when} at {clinic}.\n" +
			"We are finalizing it with the clinic’s system and will confirm soon."},
	},
	topic(engine.MsgBooked): {
		PartSMS: {
			"{clinic}: confirmed, your appointment is {when}.[ To change it: {phone}.][ Calendar: {link}]",
			"{clinic}: confirmed, your appointment is {when}.[ {link}]",
			"{clinic}: confirmed, your appointment is {when}.[ {address}.][ To change it: {phone}]",
			"{clinic}: confirmed, your appointment is {when}.[ To change it: {phone}]",
			"{clinic}: confirmed for {when}.",
		},
		PartSubject: {"Appointment confirmed: {when}"},
		PartTitle:   {"It is confirmed"},
		PartEmail:   {"Your appointment at {clinic}:\n{when}\n[{address}]\n[To cancel it or ask a question: {phone}]"},
	},
	topic(engine.MsgRefused): {
		PartSMS: {
			"{clinic}: sorry, the opening on {when} had just been taken at the clinic. You will be among the first for the next one.",
			"{clinic}: sorry, it had just been taken. You go first next time.",
		},
		PartSubject: {"The opening was no longer free"},
		PartTitle:   {"The opening was no longer free"},
		PartEmail: {"We are sorry: the opening on {when} at {clinic} had just been taken at the clinic.\n" +
			"You will be among the first to be offered the next one."},
	},
	topic(engine.MsgTaken): {
		PartSMS: {
			"{clinic}: the opening on {when} is taken. You keep your place on the list.",
			"{clinic}: that opening is taken. You keep your place.",
		},
		PartSubject: {"The opening is taken"},
		PartTitle:   {"The opening is taken"},
		PartEmail: {"The opening on {when} at {clinic} is taken.\n" +
			"You keep your place on the list and we will write to you for the next one."},
	},
	topic(engine.MsgWithdrawn): {
		PartSMS: {
			"{clinic}: the opening on {when} is no longer offered. You keep your place on the list.",
			"{clinic}: that opening is no longer offered. You keep your place.",
		},
		PartSubject: {"The opening is no longer offered"},
		PartTitle:   {"The opening is no longer offered"},
		PartEmail:   {"The opening on {when} at {clinic} is no longer offered.\nYou keep your place on the list."},
	},
	topic(engine.MsgEnded): {
		PartSMS: {
			"{clinic}: your appointments have changed, so the offer for {when} is withdrawn.[ Questions: {phone}]",
			"{clinic}: your appointments have changed, so the offer is withdrawn.",
		},
		PartSubject: {"The offer is withdrawn"},
		PartTitle:   {"The offer is withdrawn"},
		PartEmail:   {"Your appointments at {clinic} have changed, so the offer for {when} is withdrawn.[ Questions: {phone}]"},
		PartVoice:   {"Hello. This is {clinic}. Your appointments have changed, so the offer for {when} is withdrawn."},
	},
	topic(engine.MsgConfirm): {
		PartSMS: {"{clinic}: may we text you here when an appointment opens up? Reply 1 to agree or 2 to refuse. STOP to opt out."},
	},
	topic(engine.MsgJoin): {
		PartSMS: {
			"{clinic}: the code {code} confirms that you join the waiting list. Reply 1 or enter the code. Not you? Ignore this text.",
			"{clinic}: code {code} for the waiting list. Reply 1 or enter the code. Not you? Ignore this text.",
		},
		PartSubject: {"Confirm that you join the list"},
		PartTitle:   {"Confirm that you join the list"},
		PartEmail: {"Somebody, most likely you, gave this address to join the waiting list of {clinic}.\n" +
			"To confirm, open the page below within 72 hours, or enter the code {code} on the page where you signed up.\n" +
			"If it was not you, do nothing: nothing will be kept."},
		PartButton: {"Confirm"},
	},
	topic(engine.MsgWelcome): {
		PartSMS: {
			"{clinic}: you are signed up for the waiting list. Keep this link to your page: {link} STOP to opt out.",
			"{clinic}: you are signed up. Your page: {link} STOP to opt out.",
			"You are signed up. Your page: {link} STOP to opt out.",
		},
		PartSubject: {"You are signed up"},
		PartTitle:   {"You are signed up"},
		PartEmail: {"You are signed up for the waiting list of {clinic}.\n" +
			"The clinic links this to your file, and then you will get its offers when an appointment opens up.\n" +
			"Keep this message: it leads to your page, where you can change everything or leave the list."},
		PartButton: {"Open my page"},
	},
	topic(engine.MsgLink): {
		PartSMS: {
			"{clinic}: here is the link to your page of the waiting list: {link} STOP to opt out.",
			"{clinic}: your page: {link} STOP to opt out.",
			"Your page: {link} STOP to opt out.",
		},
		PartSubject: {"The link to your page"},
		PartTitle:   {"The link to your page"},
		PartEmail: {"Here is the link to your page of the waiting list of {clinic}.\n" +
			"You can change your preferences there, take a break or leave the list.\n" +
			"If you did not ask for it, do nothing."},
		PartButton: {"Open my page"},
	},
	topic(engine.MsgStill): {
		PartSMS: {
			"{clinic}: are you still waiting for an appointment? Reply 1 to stay on the list or 2 to leave it. [{link} ]STOP to opt out.",
			"{clinic}: are you still waiting for an appointment? Reply 1 to stay on the list or 2 to leave it. STOP to opt out.",
			"{clinic}: still on the list? Reply 1 (stay) or 2 (leave). STOP to opt out.",
		},
		PartSubject: {"Are you still waiting for an appointment?"},
		PartTitle:   {"Are you still waiting for an appointment?"},
		PartEmail: {"You have been on the waiting list of {clinic} for a while.\n" +
			"Tell us on your page whether you are still waiting. Without an answer we will stop offering you openings for now, and the clinic will know."},
		PartButton: {"Answer on my page"},
	},
	TopicCall: {
		PartVoicemail: {"Hello. This is {clinic}. Please call us back[ at {phone}]."},
		PartGoodbye:   {"Thank you and have a good day."},
	},
	TopicChoose:                      {PartSMS: {"Which opening? Reply with its number."}},
	TopicLeave:                       {PartSMS: {"Which opening do you not want? Reply with its number."}},
	replyTopic(engine.AnsBooked):     {PartSMS: {"It is confirmed: {clinic}, {when}. Thank you!"}},
	replyTopic(engine.AnsFinalising): {PartSMS: {"We have your answer for {when}. We are finalizing it with the clinic and will confirm soon."}},
	replyTopic(engine.AnsTaken): {PartSMS: {
		"Sorry, this opening has just been taken. You keep your place on the list and we will let you know about the next one.",
	}},
	replyTopic(engine.AnsExpired):   {PartSMS: {"Sorry, the time to answer for this opening is over. You keep your place on the list."}},
	replyTopic(engine.AnsWithdrawn): {PartSMS: {"Sorry, this opening is no longer offered. You keep your place on the list."}},
	replyTopic(engine.AnsDeclined):  {PartSMS: {"Noted, thank you for answering. You keep your place on the list."}},
	replyTopic(engine.AnsStopped): {PartSMS: {
		"Done: you will get no more messages from us here. To come back, reply START.[ Questions: {phone}]",
	}, PartVoice: {"Done. You will get no more calls or texts from us at this number. To come back, text the word START."}},
	replyTopic(engine.AnsStarted): {PartSMS: {"Done: you will get our offers again. Reply STOP to opt out."}},
	replyTopic(engine.AnsHelp): {PartSMS: {
		"{clinic}: we offer appointments that open up. Reply 1 to accept, 2 to decline, STOP to opt out.[ Call {phone}]",
	}},
	replyTopic(engine.AnsUnclear): {PartSMS: {
		"We did not understand. Reply 1 to take the opening or 2 to leave it.[ Questions: {phone}]",
	}, PartVoice: {"Sorry, we did not understand. We are passing on what you said to the clinic, and the opening is still offered to you. Goodbye."}},
	replyTopic(engine.AnsNone):           {PartSMS: {"We have no open offer for this number. Reply STOP to get no more messages."}},
	replyTopic(engine.AnsConsented):      {PartSMS: {"Thank you: we will text you here when an appointment opens up. Reply STOP to opt out."}},
	replyTopic(engine.AnsRefusedConsent): {PartSMS: {"Thank you: we will not text you here.[ Questions: {phone}]"}},
	replyTopic(engine.AnsJoined):         {PartSMS: {"Confirmed: you are signed up. The clinic links this to your file, and then you will get its offers."}},
	replyTopic(engine.AnsNotJoined):      {PartSMS: {"Noted: nothing is kept."}},
	replyTopic(engine.AnsStays):          {PartSMS: {"Thank you: you stay on the list."}},
	replyTopic(engine.AnsLeaves):         {PartSMS: {"Done: you are no longer on the list.[ Questions: {phone}]"}},
	replyTopic(engine.AnsPaused):         {PartSMS: {"This opening is on hold at the clinic. We will answer as soon as we can."}},
	replyTopic(engine.AnsRefused): {PartSMS: {
		"Sorry, the opening had just been taken at the clinic. You will be among the first for the next one.",
	}},
}

// dayEnglish follows the usage of English Canada: "Tuesday, November 24 at 9:20 a.m.".
func dayEnglish(t time.Time) string {
	half := "a.m."
	if t.Hour() >= 12 {
		half = "p.m."
	}
	return t.Format("Monday, January 2 at 3:04 ") + half
}

// tidy ends a sentence once that ends with an abbreviation.
func tidy(text string) string { return doubled.Replace(text) }

var doubled = strings.NewReplacer("a.m..", "a.m.", "p.m..", "p.m.")
