package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"relais/engine"
)

// greyWait is how long greylisting servers commonly ask for.
const greyWait = time.Minute

// sendOutcome reads what sending on a connection came to.
func sendOutcome(msg *gomail.Msg, err error) engine.Outcome {
	if err == nil || msg.IsDelivered() {
		// A link lost after the server's 250 changes nothing.
		return engine.Outcome{Status: engine.Accepted, Ref: msg.GetMessageID()}
	}
	e, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown, Detail: "unexpected failure"}
	}
	code, enhanced := e.ErrorCode(), e.EnhancedStatusCode()
	detail := fmt.Sprintf("%s: %d %s", e.Reason, code, enhanced)
	if code == 0 {
		if e.Reason == gomail.ErrSMTPDataClose {
			return engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown, Detail: "the link broke after the final dot"}
		}
		// Without the final dot a server must not deliver (RFC 5321, 4.1.1.4).
		return failed(engine.CarrierDown, true, detail)
	}
	reason, wait := refusal(e.Reason, code, enhanced)
	out := failed(reason, code < 500, detail)
	out.Wait = wait
	return out
}

// refusal gives the meaning of a server's no. Enhanced codes are of RFC 3463.
func refusal(at gomail.SendErrReason, code int, enhanced string) (engine.Reason, time.Duration) {
	_, subject, _ := strings.Cut(enhanced, ".") // "5.1.1" to "1.1"
	if code < 500 {
		switch {
		case code == 421:
			return engine.CarrierDown, 0
		case subject == "2.2" || code == 452 && subject == "":
			return engine.Unreached, 0 // the mailbox is full
		case code == 450 || code == 451 || strings.HasPrefix(subject, "7."):
			return engine.RateLimited, greyWait
		}
		return engine.CarrierDown, 0
	}
	switch {
	case code == 530 || code == 534 || code == 535:
		return engine.AccountFault, 0
	case subject == "2.2" || code == 552 && at == gomail.ErrSMTPRcptTo:
		return engine.Unreached, 0
	case at == gomail.ErrSMTPMailFrom:
		return engine.AccountFault, 0 // it does not like us, whoever the message is for
	case strings.HasPrefix(subject, "7."):
		return engine.Filtered, 0
	case strings.HasPrefix(subject, "1."):
		return engine.BadContact, 0
	}
	switch at {
	case gomail.ErrSMTPRcptTo:
		return engine.BadContact, 0
	case gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
		return engine.Filtered, 0
	case gomail.ErrGetSender, gomail.ErrGetRcpts, gomail.ErrSMTPMailFrom, gomail.ErrSMTPReset,
		gomail.ErrWriteContent, gomail.ErrConnCheck, gomail.ErrNoUnencoded, gomail.ErrAmbiguous:
	}
	return engine.AccountFault, 0
}

// dialOutcome reads why no connection came about; nothing was sent.
func dialOutcome(err error) engine.Outcome {
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		if e.Code < 500 {
			return failed(engine.CarrierDown, true, fmt.Sprintf("the server says %d", e.Code))
		}
		return failed(engine.AccountFault, false, fmt.Sprintf("the server says %d", e.Code))
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return failed(engine.AccountFault, false, "the server's certificate is not trusted")
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return failed(engine.AccountFault, false, "TLS was refused")
	}
	_, network := errors.AsType[net.Error](err)
	if network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return failed(engine.CarrierDown, true, "no connection")
	}
	// What is left is a server that does not offer what we insist on: STARTTLS, or a way to sign in.
	return failed(engine.AccountFault, false, "the server does not offer TLS or a sign-in that can be used")
}
