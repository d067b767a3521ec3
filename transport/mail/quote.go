package mail

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

// attribution are the lines that mail programs put above what they quote, in French and English;
// the sentence may be broken over three lines.
var attribution = []*regexp.Regexp{
	regexp.MustCompile(`(?i)^\s*le\s.{4,300}\sa\s+écrit\s*:\s*$`),
	regexp.MustCompile(`(?i)^\s*on\s.{4,300}\swrote\s*:\s*$`),
	regexp.MustCompile(`(?i)^\s*-{2,}\s*(original message|message d['’]origine|message original|forwarded message|message transféré)\s*-{2,}`),
	regexp.MustCompile(`^\s*_{10,}\s*$`),
	regexp.MustCompile(`(?i)^\s*\*?(from|de|expéditeur)\s?:\*?\s.*@.*$`),
	regexp.MustCompile(`(?i)^\s*\*?(from|de|expéditeur)\s?:\*?\s.{1,300}\s\*?(sent|envoyé|date)\s?:`),
}

// ownWords are what programs add below what a person wrote.
var ownWords = regexp.MustCompile(`(?i)^\s*(sent from (my|yahoo|outlook|mail)\b|sent via\b|envoyé (de|depuis|à partir)\b|get outlook for\b|(obtenir|obtenez|télécharger|téléchargez) outlook\b|provenance : courrier)`)

// attributionLines is how many lines a program breaks its sentence over at most.
const attributionLines = 3

// above returns what a person wrote above the quoted message and above their signature. Lines at
// its end that only repeat the person's name are left out too.
func above(text, name string) string {
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\u00a0", " ", "\u202f", " ").Replace(text), "\n")
	end := len(lines)
	for i := range lines {
		if quoteBegins(lines[i:]) {
			end = i
			break
		}
	}
	lines = lines[:end]
	for len(lines) > 1 && isName(lines[len(lines)-1], name) {
		lines = lines[:len(lines)-1]
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

func quoteBegins(lines []string) bool {
	first := strings.TrimRight(lines[0], " \t")
	if strings.HasPrefix(strings.TrimLeft(first, " \t"), ">") || first == "--" || ownWords.MatchString(first) {
		return true
	}
	var joined strings.Builder
	for _, line := range lines[:min(len(lines), attributionLines)] {
		if joined.WriteString(line + " "); joined.Len() > 1000 {
			return false
		}
		said := joined.String()
		if slices.ContainsFunc(attribution, func(r *regexp.Regexp) bool { return r.MatchString(said) }) {
			return true
		}
	}
	return false
}

// isName reports whether a line is empty or made of the words of a name.
func isName(line, name string) bool {
	split := func(s string) []string {
		return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) })
	}
	if strings.ContainsFunc(line, unicode.IsNumber) {
		return false
	}
	of := split(name)
	for _, w := range split(line) {
		if !slices.Contains(of, w) {
			return false
		}
	}
	return true
}

// plainOf is the text of an HTML mail as far as it was written above a quoted message.
func plainOf(page string) string {
	var out strings.Builder
	z := html.NewTokenizer(strings.NewReader(page))
	z.SetMaxBuf(maxInbound)
	hidden := ""
	for out.Len() < maxInbound {
		kind := z.Next()
		if kind == html.ErrorToken {
			if z.Err() != io.EOF { //nolint:errorlint // the tokenizer returns it bare
				return ""
			}
			break
		}
		token := z.Token()
		switch {
		case hidden != "":
			if kind == html.EndTagToken && token.Data == hidden {
				hidden = ""
			}
		case kind == html.TextToken:
			out.WriteString(strings.NewReplacer("\r", " ", "\n", " ").Replace(token.Data))
		case kind == html.StartTagToken && quotes(token):
			return out.String()
		case kind == html.StartTagToken && slices.Contains([]string{"head", "style", "script", "title"}, token.Data):
			hidden = token.Data
		case slices.Contains([]string{"br", "p", "div", "tr", "li", "h1", "h2", "h3", "table"}, token.Data):
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// quotes reports whether a quoted message or a signature begins at a tag, as the common programs
// write it.
func quotes(t html.Token) bool {
	if t.Data == "blockquote" || t.Data == "hr" {
		return true
	}
	for _, a := range t.Attr {
		for _, mark := range []string{"gmail_quote", "gmail_signature", "yahoo_quoted", "moz-cite-prefix", "appendonsend", "divRplyFwdMsg", "Signature"} {
			if (a.Key == "class" || a.Key == "id") && strings.Contains(a.Val, mark) {
				return true
			}
		}
	}
	return false
}
