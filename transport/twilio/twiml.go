package twilio

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"

	"relais/engine"
)

// The part of TwiML that Relais writes.
type response struct {
	XMLName  xml.Name `xml:"Response"`
	Gather   *gather  `xml:"Gather,omitempty"`
	Says     []saying `xml:"Say,omitempty"`
	Dial     *dial    `xml:"Dial,omitempty"`
	Message  string   `xml:"Message,omitempty"`
	Pause    *pause   `xml:"Pause,omitempty"`
	Redirect string   `xml:"Redirect,omitempty"` // where Twilio asks what to do next, once all the rest is done
	Hangup   *empty   `xml:"Hangup,omitempty"`
}

type pause struct {
	Length int `xml:"length,attr"` // seconds
}

type empty struct{}

type saying struct {
	Voice    string `xml:"voice,attr"`
	Language string `xml:"language,attr"`
	Text     string `xml:",chardata"`
}

type gather struct {
	Input     string   `xml:"input,attr"`
	NumDigits int      `xml:"numDigits,attr"`
	Timeout   int      `xml:"timeout,attr"` // seconds
	Speech    string   `xml:"speechTimeout,attr"`
	Language  string   `xml:"language,attr"`
	Hints     string   `xml:"hints,attr"`
	Action    string   `xml:"action,attr"`
	Method    string   `xml:"method,attr"`
	Empty     bool     `xml:"actionOnEmptyResult,attr"`
	Says      []saying `xml:"Say"`
}

type dial struct {
	Action  string `xml:"action,attr"`
	Method  string `xml:"method,attr"`
	Timeout int    `xml:"timeout,attr"` // seconds
	Caller  string `xml:"callerId,attr,omitempty"`
	Number  string `xml:"Number"`
}

func (r response) encode() ([]byte, error) {
	b, err := xml.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("twilio: encode twiml: %w", err)
	}
	return append([]byte(xml.Header), b...), nil
}

func (r response) send(w http.ResponseWriter) {
	b, err := r.encode()
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(b)
}

// speak picks the voice of a language: Gabrielle is Polly's only neural voice of Canadian French.
func speak(lang engine.Lang, text string) saying {
	if lang == engine.English {
		return saying{Voice: "Polly.Joanna-Neural", Language: "en-US", Text: text}
	}
	return saying{Voice: "Polly.Gabrielle-Neural", Language: "fr-CA", Text: text}
}

// listen asks the script's question and waits for a key or a word.
func listen(s engine.Script, action string, first ...string) response {
	g := &gather{
		Input: "dtmf speech", NumDigits: 1, Timeout: 6, Speech: "auto",
		Language: "fr-CA", Hints: "oui, non",
		Action: action, Method: http.MethodPost, Empty: true,
	}
	if s.Lang == engine.English {
		g.Language, g.Hints = "en-CA", "yes, no"
	}
	for _, text := range append(first, s.Prompt) {
		g.Says = append(g.Says, speak(s.Lang, text))
	}
	if s.Stop != "" {
		g.Says = append(g.Says, speak(s.Lang, s.Stop))
	}
	if s.Other != "" {
		g.Says = append(g.Says, speak(other(s.Lang), s.Other))
	}
	return response{Gather: g}
}

func farewell(lang engine.Lang, text string) response {
	return response{Says: []saying{speak(lang, text)}, Hangup: &empty{}}
}

// The sentences of this package are those for which no offer is at hand: the rest is the
// backend's. They are within GSM-7.
func trouble(lang engine.Lang) string {
	if lang == engine.English {
		return "Sorry, your answer could not be recorded. Please try again in a few minutes."
	}
	return "Désolé, votre réponse n'a pas pu être enregistrée. Réessayez dans quelques minutes."
}

func gone(lang engine.Lang) string {
	if lang == engine.English {
		return "This appointment is no longer on offer. Your place on the waitlist is kept. Goodbye."
	}
	return "Ce rendez-vous n'est plus offert. Votre place sur la liste d'attente est gardée. Au revoir."
}

func noOffer(lang engine.Lang) string {
	if lang == engine.English {
		return "Hello. We have no open offer for this number. To reach your clinic, please call its own number. Goodbye."
	}
	return "Bonjour. Nous n'avons aucune offre en cours pour ce numéro. Pour joindre votre clinique, appelez son propre numéro. Au revoir."
}

func unclear(lang engine.Lang) string {
	if lang == engine.English {
		return "Sorry, we did not understand."
	}
	return "Désolé, nous n'avons pas compris."
}

func moment(lang engine.Lang) string {
	if lang == engine.English {
		return "One moment, please."
	}
	return "Un instant, s'il vous plaît."
}

func connecting(lang engine.Lang) string {
	if lang == engine.English {
		return "We are connecting you to the clinic."
	}
	return "Nous vous mettons en communication avec la clinique."
}

// nobody says the clinic's number when it cannot be reached now.
func nobody(lang engine.Lang, number string) string {
	if lang == engine.English {
		return "Nobody can take your call now. The clinic's number is " + spell(number) + ". Your offer still stands. Goodbye."
	}
	return "Personne ne peut vous répondre en ce moment. Le numéro de la clinique est le " + spell(number) + ". Votre offre tient toujours. Au revoir."
}

// spell puts the digits of a number apart, so that a voice says them one by one.
func spell(number string) string {
	var digits []string
	for _, r := range number {
		if r >= '0' && r <= '9' {
			digits = append(digits, string(r))
		}
	}
	return strings.Join(digits, " ")
}
