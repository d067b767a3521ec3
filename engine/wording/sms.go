package wording

import (
	"strings"
	"unicode/utf16"

	"relais/engine"
)

// The GSM 7-bit default alphabet and its extension table (3GPP TS 23.038, section 6.2.1). A
// character of the extension takes two places.
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmMore  = "\f^{}\\[~]|€"
)

// What one segment holds: alone, and as a part of several (3GPP TS 23.040: 6 octets go to the
// header that joins them).
const (
	gsmOne, gsmPart = 160, 153
	ucsOne, ucsPart = 70, 67
)

// Segments counts the SMS segments of a text and says whether it needs UCS-2. An empty text is one
// segment. A character that takes two places never lies across two segments.
func Segments(text string) (n int, ucs2 bool) {
	one, part, width := gsmOne, gsmPart, gsmWidth
	for _, r := range text {
		if gsmWidth(r) == 0 {
			ucs2 = true
			one, part, width = ucsOne, ucsPart, utf16.RuneLen
			break
		}
	}
	length, used := 0, 0
	n = 1
	for _, r := range text {
		w := max(1, width(r)) // what is not UTF-8 is sent as U+FFFD
		length += w
		if used += w; used > part {
			n, used = n+1, w
		}
	}
	if length <= one {
		return 1, ucs2
	}
	return n, ucs2
}

// gsmWidth is how many places a character takes in the GSM alphabet; 0 when it is not there.
func gsmWidth(r rune) int { return gsmWidths[r] }

var gsmWidths = func() map[rune]int {
	widths := map[rune]int{}
	for _, r := range gsmBasic {
		widths[r] = 1
	}
	for _, r := range gsmMore {
		widths[r] = 2
	}
	return widths
}()

// outsideGSM are the characters of French and of typography that force UCS-2, with what stands
// for them.
var outsideGSM = strings.NewReplacer(
	"â", "a", "ê", "e", "ë", "e", "î", "i", "ï", "i", "ô", "o", "û", "u", "ÿ", "y", "ç", "c",
	"À", "A", "Â", "A", "È", "E", "Ê", "E", "Ë", "E", "Î", "I", "Ï", "I", "Ô", "O", "Ù", "U", "Û", "U",
	"œ", "oe", "Œ", "OE", "á", "a", "í", "i", "ó", "o", "ú", "u", "Á", "A", "Í", "I", "Ó", "O", "Ú", "U",
	"«", "\"", "»", "\"", "“", "\"", "”", "\"", "’", "'", "‘", "'", "–", "-", "—", "-", "…", "...",
	"\u00a0", " ", "\u202f", " ", "·", "-", "•", "-",
)

// plainGSM writes a text on one line in the GSM alphabet; what has no likeness there becomes a
// question mark.
func plainGSM(text string) string {
	text = strings.Join(strings.Fields(outsideGSM.Replace(tidy(text))), " ")
	return strings.Map(func(r rune) rune {
		if gsmWidth(r) > 0 {
			return r
		}
		return '?'
	}, text)
}

// short writes the fullest text that is one segment, with a shorter name of the clinic when
// nothing else helps.
func short(variants []string, lang engine.Lang, f Facts) string {
	text, whole := "", f.Clinic
	for name := []rune(plainGSM(whole)); ; name = name[:len(name)*3/4] {
		f.Clinic = strings.TrimRight(string(name), " -,.'&(")
		if len(name) < len([]rune(whole)) {
			f.Clinic += "."
		}
		for _, v := range variants {
			text = plainGSM(fill(v, lang, f))
			if n, _ := Segments(text); n == 1 {
				return text
			}
		}
		if len(name) < 8 { // a name of that length never fails with our texts; see the tests
			return text
		}
	}
}
