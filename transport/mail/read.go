package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // the charsets that people's programs write
)

const (
	maxDepth   = 6  // of parts within parts
	mostPart   = 40 // parts
	maxSubject = 150
)

var errUnreadable = errors.New("mail: the message cannot be read")

// letter is what was read of a message that came in.
type letter struct {
	id       string // digest of its Message-ID, or of the whole
	ref      string // its Message-ID as it was written, "" when there is none
	name     string // of the sender, as they wrote it
	subject  string
	auto     bool // no person wrote it
	plain    string
	page     string // HTML
	status   []byte // delivery-status part of a report (RFC 3464)
	feedback []byte // feedback-report part of a complaint (RFC 5965)
	original message.Header
	parts    int
}

// read takes a message apart. A charset or an encoding that nobody knows is not an error: what can be
// read is read.
func read(raw []byte) (*letter, error) {
	e, err := message.Read(bytes.NewReader(raw))
	if e == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return nil, errUnreadable
	}
	l := &letter{auto: automatic(e.Header)}
	l.subject, _ = e.Header.Text("Subject")
	if from, _ := e.Header.Text("From"); from != "" {
		if a, err := netmail.ParseAddress(from); err == nil {
			l.name = a.Name
		}
	}
	l.ref = strings.TrimSpace(e.Header.Get("Message-Id"))
	sum := sha256.Sum256([]byte(l.ref))
	if l.ref == "" {
		sum = sha256.Sum256(raw)
	}
	l.id = hex.EncodeToString(sum[:16])
	if err := l.part(e, 0); err != nil {
		return nil, err
	}
	return l, nil
}

// automatic reports whether a program wrote a message: RFC 3834, and the signs that programs used
// before it.
func automatic(h message.Header) bool {
	if v := strings.ToLower(strings.TrimSpace(h.Get("Auto-Submitted"))); v != "" && v != "no" {
		return true
	}
	if slices.ContainsFunc([]string{"X-Auto-Response-Suppress", "X-Autoreply", "X-Autorespond", "X-Auto-Reply", "List-Id", "X-Loop"}, h.Has) {
		return true
	}
	precedence := strings.ToLower(strings.TrimSpace(h.Get("Precedence")))
	kind, _, _ := h.ContentType()
	return slices.Contains([]string{"bulk", "junk", "list", "auto_reply"}, precedence) ||
		strings.TrimSpace(h.Get("Return-Path")) == "<>" || kind == "multipart/report"
}

func (l *letter) part(e *message.Entity, depth int) error {
	if l.parts++; l.parts > mostPart || depth > maxDepth {
		return errUnreadable
	}
	if m := e.MultipartReader(); m != nil {
		for {
			p, err := m.NextPart()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if p == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
				return errUnreadable
			}
			if err := l.part(p, depth+1); err != nil {
				return err
			}
		}
	}
	kind, _, _ := e.Header.ContentType()
	if disposition, _, _ := e.Header.ContentDisposition(); disposition == "attachment" && (kind == "text/plain" || kind == "text/html") {
		return nil
	}
	body, err := io.ReadAll(e.Body)
	if err != nil {
		return errUnreadable
	}
	switch kind {
	case "text/plain", "":
		if l.plain == "" {
			l.plain = string(body)
		}
	case "text/html":
		if l.page == "" {
			l.page = string(body)
		}
	case "message/delivery-status", "message/global-delivery-status":
		l.status = body
	case "message/feedback-report":
		l.feedback = body
	case "message/rfc822", "message/global", "text/rfc822-headers":
		if o, err := message.Read(bytes.NewReader(append(body, "\r\n\r\n"...))); o != nil && (err == nil || message.IsUnknownCharset(err)) {
			l.original = o.Header
		}
	}
	return nil
}

// said is what the person wrote: above what they quoted, or in the subject when there is nothing
// else, as programs do that unsubscribe by mail.
func (l *letter) said() string {
	text := above(l.plain, l.name)
	if strings.TrimSpace(l.plain) == "" && l.page != "" {
		text = above(plainOf(l.page), l.name)
	}
	subject := strings.TrimSpace(l.subject)
	if re, _, answer := strings.Cut(subject, ":"); text == "" && !(answer && len(re) < 4) {
		text = subject
	}
	if r := []rune(text); len(r) > maxSaid {
		text = string(r[:maxSaid])
	}
	return text
}

// refForm is a Message-ID that may be written back.
var refForm = regexp.MustCompile(`^<[!-;=?-~]{3,250}>$`)

// clip makes a subject short and one line.
func clip(subject string) string {
	r := []rune(strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, subject)))
	return string(r[:min(len(r), maxSubject)])
}
