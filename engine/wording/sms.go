package wording

import (
	"strings"
	"unicode/utf16"
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

// Segments counts the SMS segments of a text and says whether it needs UCS-2.
func Segments(text string) (n int, ucs2 bool) {
	length, one, part := 0, gsmOne, gsmPart
	for _, r := range text {
		switch {
		case strings.ContainsRune(gsmBasic, r):
			length++
		case strings.ContainsRune(gsmMore, r):
			length += 2
		default:
			ucs2 = true
		}
	}
	if ucs2 {
		length, one, part = len(utf16.Encode([]rune(text))), ucsOne, ucsPart
	}
	if length <= one {
		return 1, ucs2
	}
	return (length + part - 1) / part, ucs2
}

// outsideGSM are the characters of French and of typography that force UCS-2, with what stands
// for them.
var outsideGSM = strings.NewReplacer(
	"â", "a", "ê", "e", "ë", "e", "î", "i", "ï", "i", "ô", "o", "û", "u", "ÿ", "y", "ç", "c",
	"À", "A", "Â", "A", "È", "E", "Ê", "E", "Ë", "E", "Î", "I", "Ï", "I", "Ô", "O", "Ù", "U", "Û", "U",
	"œ", "oe", "Œ", "OE", "á", "a", "í", "i", "ó", "o", "ú", "u", "Á", "A", "Í", "I", "Ó", "O", "Ú", "U",
	"«", "\"", "»", "\"", "“", "\"", "”", "\"", "’", "'", "‘", "'", "–", "-", "—", "-", "…", "...",
	"\u00a0", " ", "\u202f", " ", "·", "-", "•", "-",
)

// plainGSM writes a text in the GSM alphabet; what has no likeness there becomes a question mark.
func plainGSM(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(gsmBasic, r) || strings.ContainsRune(gsmMore, r) {
			return r
		}
		return '?'
	}, outsideGSM.Replace(tidy(text)))
}

// short writes the fullest text that is one segment, with a shorter name of the clinic when
// nothing else helps.
func short(write func(f Facts, clinic string) []string, f Facts) string {
	text := ""
	for name := []rune(plainGSM(f.Clinic)); ; name = name[:len(name)*3/4] {
		clinic := strings.TrimRight(string(name), " -,.'&(")
		if len(name) < len([]rune(f.Clinic)) {
			clinic += "."
		}
		for _, text = range write(f, clinic) {
			text = plainGSM(text)
			if n, _ := Segments(text); n == 1 {
				return text
			}
		}
		if len(name) < 8 { // a name of that length never fails with our texts; see the tests
			return text
		}
	}
}
