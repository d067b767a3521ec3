package sandbox

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	maxParts    = 20
	maxNested   = 5
	maxFileText = 32 << 10 // bytes
)

var oneClick = regexp.MustCompile(`https?://[^\s<>]+`)

var errMail = errors.New("sandbox: not a mail")

// readMail turns a message into an item: its subject, the first plain and HTML parts, and its files.
func readMail(r io.Reader) (Item, error) {
	m, err := mail.ReadMessage(r)
	if err != nil {
		_, _ = io.Copy(io.Discard, r)
		return Item{}, fmt.Errorf("%w: %w", errMail, err)
	}
	subject, err := (&mime.WordDecoder{}).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		subject = m.Header.Get("Subject")
	}
	it := Item{ID: newSID("EM"), Kind: "email", Subject: subject, Status: "delivered"}
	if to, err := mail.ParseAddress(m.Header.Get("Reply-To")); err == nil {
		it.ReplyTo = to.Address
	}
	if m.Header.Get("List-Unsubscribe-Post") == "List-Unsubscribe=One-Click" {
		it.Leave = oneClick.FindString(m.Header.Get("List-Unsubscribe"))
	}
	p := &parts{item: &it, left: maxParts}
	if err := p.read(textproto.MIMEHeader(m.Header), m.Body, 0); err != nil {
		return Item{}, err
	}
	return it, nil
}

// parts walks the parts of a message.
type parts struct {
	item *Item
	left int
}

func (p *parts) read(h textproto.MIMEHeader, body io.Reader, depth int) error {
	if p.left--; p.left < 0 || depth > maxNested {
		return fmt.Errorf("%w: too many parts", errMail)
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		kind, params = "text/plain", map[string]string{}
	}
	if strings.HasPrefix(kind, "multipart/") {
		mr := multipart.NewReader(body, params["boundary"])
		for {
			// NextRawPart leaves the transfer encoding to us, so there is one way of decoding.
			part, err := mr.NextRawPart()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("%w: %w", errMail, err)
			}
			if err := p.read(part.Header, part, depth+1); err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(h.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	raw, err := io.ReadAll(io.LimitReader(body, maxMail))
	if err != nil {
		return fmt.Errorf("%w: %w", errMail, err)
	}
	if _, dp, err := mime.ParseMediaType(h.Get("Content-Disposition")); err == nil && dp["filename"] != "" {
		f := File{Name: dp["filename"], Kind: kind}
		if strings.HasPrefix(kind, "text/") && len(raw) <= maxFileText {
			f.Text = utf8Of(raw, params["charset"])
		}
		p.item.Files = append(p.item.Files, f)
		return nil
	}
	text := strings.ReplaceAll(utf8Of(raw, params["charset"]), "\r\n", "\n")
	switch {
	case kind == "text/plain" && p.item.Text == "":
		p.item.Text = text
	case kind == "text/html" && p.item.HTML == "":
		p.item.HTML = text
	}
	return nil
}

// utf8Of turns bytes of a charset into UTF-8. Relais writes UTF-8; Latin-1 is what is left of
// everything else.
func utf8Of(raw []byte, charset string) string {
	switch strings.ToLower(charset) {
	case "iso-8859-1", "latin1", "windows-1252":
		r := make([]rune, len(raw))
		for i, b := range raw {
			r[i] = rune(b)
		}
		return string(r)
	}
	if utf8.Valid(raw) {
		return string(raw)
	}
	return strings.ToValidUTF8(string(raw), "\uFFFD")
}
