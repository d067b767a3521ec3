package twilio

import (
	"context"
	"fmt"
	"net/http"

	"relais/engine"
)

// incoming asks where the number's texts and calls go: nothing fails when they do not come here, and no
// answer of a patient ever arrives.
func (k *checking) incoming(ctx context.Context) (engine.Verdict, string) {
	list, status, code := k.numbers(ctx)
	if status != http.StatusOK || len(list) == 0 {
		return engine.CheckFailed, fmt.Sprintf("The number cannot be read: status %d, error %d.", status, code)
	}
	texts, where := list[0].SmsURL, "of the number"
	if k.cfg.MessagingService != "" {
		var service struct {
			URL       string `json:"inbound_request_url"`
			OfNumbers bool   `json:"use_inbound_webhook_on_number"`
		}
		status, code = k.get(ctx, k.user, k.pass, "https://messaging.twilio.com/v1/Services/"+k.cfg.MessagingService, &service)
		if status != http.StatusOK {
			return engine.CheckFailed, fmt.Sprintf("The messaging service cannot be read: status %d, error %d.", status, code)
		}
		if !service.OfNumbers {
			texts, where = service.URL, "of the messaging service"
		}
	}
	if want := k.cfg.PublicBase + "/hooks/twilio/sms"; texts != want {
		return engine.CheckFailed, "Patients' texts do not come to Relais: set the incoming messages " + where + " to POST " + want + " in the console."
	}
	if want := k.cfg.PublicBase + "/hooks/twilio/call"; list[0].VoiceURL != want {
		return engine.CheckWeak, "Patients' texts come here. Who calls the number back does not: set its incoming calls to POST " + want + "."
	}
	return engine.CheckOK, "Patients' texts and calls to the number come here."
}
