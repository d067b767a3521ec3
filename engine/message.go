package engine

import "time"

// MessageKind is what a message is about.
type MessageKind string

// The kinds.
const (
	MsgOffer      MessageKind = "offer"
	MsgReminder   MessageKind = "reminder"
	MsgFinalising MessageKind = "finalising" // your yes is kept, the clinic's system has not answered yet
	MsgBooked     MessageKind = "booked"
	MsgRefused    MessageKind = "refused" // the clinic's system gave it to somebody else; you go first next time
	MsgTaken      MessageKind = "taken"   // somebody else was quicker; you keep your place
	MsgWithdrawn  MessageKind = "withdrawn"
	MsgEnded      MessageKind = "ended"   // the person's appointments changed, so that the offer does not help any more
	MsgConfirm    MessageKind = "confirm" // may we write here? (double opt-in, by text)
	MsgNote       MessageKind = "note"    // what the front desk wrote to one person
	MsgJoin       MessageKind = "join"    // is this contact yours? (double opt-in of who joins the list)
	MsgWelcome    MessageKind = "welcome" // you are signed up, and this is your page
	MsgLink       MessageKind = "link"    // your page, as you asked
	MsgStill      MessageKind = "still"   // are you still looking?
	MsgWeekly     MessageKind = "weekly"  // the week's figures, to the clinic's manager; nothing about patients
)

// Message is one message to one person on one channel, ready to leave.
type Message struct {
	Attempt AttemptID
	Clinic  ClinicID
	Kind    MessageKind
	Channel Channel
	Lang    Lang
	Phone   Phone
	Email   Email
	Subject string        // e-mail
	Text    string        // SMS, and the plain part of an e-mail
	HTML    string        // e-mail
	Leave   string        // e-mail: URL of one-click unsubscription
	Invite  []byte        // e-mail: a calendar file, or nil
	Say     *Script       // voice
	Valid   time.Duration // how long it is worth delivering
	Before  time.Time     // start of the slot it is about: where a carrier's rate makes messages wait, the nearest goes first
	Handed  time.Time     // when it was given to the transport: of a message that is asked about later
	// Still is asked by the transport right before the message leaves, after any wait of its own;
	// false drops the message (Failed, Dropped). nil lets it leave.
	Still func() bool
}

// Script is what a call says. Prompt is repeated once when nothing is pressed.
type Script struct {
	Lang      Lang
	Prompt    string
	Stop      string // said after the prompt: the key that ends messages to this number; "" where nothing is asked
	Other     string // said after that in the other language: how to hear it so; "" when there is no choice
	Voicemail string // said to a machine
	Goodbye   string
	Clinic    string // the clinic's number, for who presses 9; "" when it is not known
}

// Reason is why a delivery did not work. The list is closed: it labels metrics.
type Reason string

// The reasons.
const (
	BadContact   Reason = "bad_contact" // no such number or mailbox
	Landline     Reason = "landline"    // cannot take texts
	OptedOut     Reason = "opted_out"   // the carrier says so
	Filtered     Reason = "filtered"    // the carrier dropped the text for its content
	Unreached    Reason = "unreached"   // phone off, mailbox full, nobody answered
	Busy         Reason = "busy"        // line busy
	RateLimited  Reason = "rate_limited"
	TooLate      Reason = "too_late"  // its time was over before it left
	CarrierDown  Reason = "carrier"   // the carrier failed or does not answer
	AccountFault Reason = "account"   // our account, number or signature is wrong: an operator must act
	Dropped      Reason = "dropped"   // withdrawn before it left
	NoReceipt    Reason = "no_answer" // outcome unknown and never resolved
)

// OutcomeStatus is what handing a message to a carrier came to.
type OutcomeStatus string

// The outcomes.
const (
	Accepted OutcomeStatus = "accepted" // in the carrier's hands
	Failed   OutcomeStatus = "failed"   // certainly not taken
	Unknown  OutcomeStatus = "unknown"  // may have been taken: never send the same again blindly
)

// Outcome is the result of handing a message to a carrier.
type Outcome struct {
	Status OutcomeStatus `json:"status"`
	Ref    string        `json:"ref,omitempty"` // the carrier's identifier
	// Carrier names the account that took it, as the configuration does: it labels metrics.
	Carrier string        `json:"carrier,omitempty"`
	Reason  Reason        `json:"reason,omitempty"`
	Retry   bool          `json:"retry,omitempty"` // trying the same again can help
	Wait    time.Duration `json:"wait,omitempty"`  // not before
	Detail  string        `json:"detail,omitempty"`
}

// ReceiptStatus is what a carrier says later. The order is the order of progress: a receipt that
// arrives late never moves a delivery back.
type ReceiptStatus string

// The receipts.
const (
	ReceiptSent      ReceiptStatus = "sent" // left the carrier, ringing
	ReceiptAnswered  ReceiptStatus = "answered"
	ReceiptMachine   ReceiptStatus = "machine"   // voicemail
	ReceiptDelivered ReceiptStatus = "delivered" // proof: on the phone; for a call: a person heard the prompt
	ReceiptFailed    ReceiptStatus = "failed"
	// ReceiptAbsent: asked about a message without an identifier, the carrier has none that may be it.
	ReceiptAbsent ReceiptStatus = "absent"
)

// Receipt is a carrier's later word on an attempt.
type Receipt struct {
	Attempt AttemptID     `json:"attempt"`
	Ref     string        `json:"ref"`
	Status  ReceiptStatus `json:"status"`
	Reason  Reason        `json:"reason,omitempty"`
	At      time.Time     `json:"at"`
}

// Intent is what a person meant.
type Intent string

// The intents.
const (
	Yes     Intent = "yes"
	No      Intent = "no"
	Stop    Intent = "stop"  // opt out of this channel
	Start   Intent = "start" // opt in again
	Help    Intent = "help"
	Choice  Intent = "choice"  // a number above 2: which of several offers
	Unclear Intent = "unclear" // cannot be read
)

// Reply is an answer of a person, authenticated by the transport that took it. Exactly one of
// Token, Attempt and Phone says whose it is.
type Reply struct {
	ID      string // the carrier's identifier of this reply; the same ID twice counts once
	Token   string // the offer's token, from a link
	Attempt AttemptID
	Phone   Phone
	Channel Channel
	Intent  Intent
	Number  int    // for Choice
	Text    string // what was written, kept on the timeline when it is Unclear; at most 1,600 characters
	Lang    Lang   // the language of the word, "" when it does not tell
	At      time.Time
}

// AnswerKind is what a reply came to.
type AnswerKind string

// The answers.
const (
	AnsBooked     AnswerKind = "booked"
	AnsFinalising AnswerKind = "finalising"
	AnsTaken      AnswerKind = "taken"
	AnsExpired    AnswerKind = "expired"
	AnsWithdrawn  AnswerKind = "withdrawn"
	AnsDeclined   AnswerKind = "declined"
	AnsStopped    AnswerKind = "stopped"
	AnsStarted    AnswerKind = "started"
	AnsHelp       AnswerKind = "help"
	AnsWhich      AnswerKind = "which" // several offers are open: which one?
	AnsUnclear    AnswerKind = "unclear"
	AnsNone       AnswerKind = "none" // no offer known for this person
	AnsPaused     AnswerKind = "paused"
	AnsRefused    AnswerKind = "refused"
	// Answers to a question for consent.
	AnsConsented      AnswerKind = "consented"
	AnsRefusedConsent AnswerKind = "refused_consent"
	// Answers to the question whether a contact belongs to who joins the list.
	AnsJoined    AnswerKind = "joined"
	AnsNotJoined AnswerKind = "not_joined"
	// Answers to the question whether somebody is still looking.
	AnsStays  AnswerKind = "stays"
	AnsLeaves AnswerKind = "leaves"
)

// Answer is what the person is told, at once.
type Answer struct {
	Kind AnswerKind
	Lang Lang
	// Text is the sentence to give back on the channel of the reply. It is empty when a message
	// of its own is on its way and a second one would only disturb.
	Text string
}
