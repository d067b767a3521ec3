package mail_test

import (
	"slices"
	"strings"
	"testing"

	"relais/engine"
	"relais/transport/mail"
)

// steps runs a check and returns "name verdict" of each step.
func steps(t *testing.T, c *mail.Client, to engine.Email) (list []string, said string) {
	t.Helper()
	c.Check(t.Context(), to, func(s engine.CheckStep) {
		if s.Sentence == "" {
			t.Errorf("%s says nothing", s.Name)
		}
		list = append(list, s.Name+" "+string(s.Verdict))
		said += s.Sentence + "\n"
	})
	return list, said
}

func TestCheck(t *testing.T) {
	for name, x := range map[string]struct {
		edit func(*mail.Config)
		to   engine.Email
		want string
	}{
		"all is well":     {nil, "eloise@example.org", "resolve ok,connect ok,TLS ok,sign in ok,sender ok,message ok"},
		"nobody to write": {nil, "", "resolve ok,connect ok,TLS ok,sign in ok,sender ok,message skipped"},
		"no such mailbox": {nil, "unknown@example.org", "resolve ok,connect ok,TLS ok,sign in ok,sender ok,message failed"},
		"asked to wait":   {nil, "greylist@example.org", "resolve ok,connect ok,TLS ok,sign in ok,sender ok,message weak"},
		"wrong password":  {func(c *mail.Config) { c.Password = "wrong" }, "", "resolve ok,connect ok,TLS ok,sign in failed,sender skipped,message skipped"},
		"not trusted":     {func(c *mail.Config) { c.CA = nil }, "", "resolve ok,connect ok,TLS failed,sign in skipped,sender skipped,message skipped"},
		"no such port":    {func(c *mail.Config) { c.Port = 1 }, "", "resolve ok,connect failed,TLS skipped,sign in skipped,sender skipped,message skipped"},
		"no such name":    {func(c *mail.Config) { c.Host = "relais.invalid" }, "", "resolve failed,connect skipped,TLS skipped,sign in skipped,sender skipped,message skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wall, c := box(t, x.edit)
			got, said := steps(t, c, x.to)
			if !slices.Equal(got, strings.Split(x.want, ",")) {
				t.Errorf("steps %q\nwant  %q\n%s", got, x.want, said)
			}
			if strings.Contains(said, "example.org") {
				t.Errorf("a sentence shows the address: %s", said)
			}
			if strings.Contains(x.want, "message ok") && len(wall.Threads()[0].Items) != 1 {
				t.Error("the message did not arrive")
			}
		})
	}
}

// A server in the clear on this machine has no TLS to check.
func TestCheckInTheClear(t *testing.T) {
	const hi, ok, bye = "220 hi", "250 ok", "221 bye"
	c := script(t, []string{hi, ok, bye}, []string{hi, ok, ok, "550 5.7.1 not you", ok, bye})
	got, said := steps(t, c, "")
	want := []string{"resolve ok", "connect ok", "TLS skipped", "sign in skipped", "sender failed", "message skipped"}
	if !slices.Equal(got, want) {
		t.Errorf("steps %q\n%s", got, said)
	}
}
