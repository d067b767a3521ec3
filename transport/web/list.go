package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/roster"
)

// List is what the front desk does with its waitlist, beyond looking at it. A change carries the revision
// that its author saw: a Conflict whose cause is *engine.Changed says who was first.
type List interface {
	SearchWaitlist(ctx context.Context, c engine.ClinicID, q desk.ListQuery) (desk.ListPage, error)
	ChangePatient(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, in desk.PatientChange) (desk.Record, error)
	ChangeProxy(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, in desk.ProxyChange) (desk.Record, error)
	ChangeNote(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, in desk.NoteChange) (desk.Record, error)
	AddEntry(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, w desk.Wish) (desk.Record, error)
	ChangeEntry(ctx context.Context, c engine.ClinicID, e engine.EntryID, by engine.UserID, in desk.EntryChange) (desk.Record, error)
	Duplicates(ctx context.Context, c engine.ClinicID) ([]desk.Twins, error)
	Merge(ctx context.Context, c engine.ClinicID, keep engine.PatientID, by engine.UserID, in desk.MergeRequest) (desk.Merge, error)
	// ImportWaitlist takes in the good lines of a file, or only says what each line would do.
	ImportWaitlist(ctx context.Context, c engine.ClinicID, by engine.UserID, file []byte, dry bool) (desk.Import, error)
	Export(ctx context.Context, c engine.ClinicID, lang engine.Lang) ([]byte, error)
}

// Duplicates are patients who may have been entered twice.
type Duplicates struct {
	Pairs []desk.Twins `json:"pairs" nullable:"false"`
}

type searchRequest struct {
	ClinicPath
	Body desk.ListQuery
}

type patientRequest struct {
	ClinicPath
	Patient string `path:"patient" maxLength:"128" doc:"a patient's identifier"`
	Body    desk.PatientChange
}

type proxyRequest struct {
	ClinicPath
	Patient string `path:"patient" maxLength:"128" doc:"a patient's identifier"`
	Body    desk.ProxyChange
}

type noteChangeRequest struct {
	ClinicPath
	Patient string `path:"patient" maxLength:"128" doc:"a patient's identifier"`
	Body    desk.NoteChange
}

type wishRequest struct {
	ClinicPath
	Patient string `path:"patient" maxLength:"128" doc:"a patient's identifier"`
	Body    desk.Wish
}

type entryRequest struct {
	ClinicPath
	Entry string `path:"entry" maxLength:"128" doc:"an entry's identifier"`
	Body  desk.EntryChange
}

type mergeRequest struct {
	ClinicPath
	Patient string `path:"patient" maxLength:"128" doc:"the patient who stays"`
	Body    desk.MergeRequest
}

type importRequest struct {
	ClinicPath
	Body struct {
		File []byte `json:"file" doc:"the file, in base64; at most 2 MiB and 5,000 lines"`
		Dry  bool   `json:"dry" doc:"true: say what each line would do, and do nothing"`
	} `nameHint:"WaitlistFile"`
}

type exportQuery struct {
	ClinicPath
	Lang engine.Lang `query:"lang" enum:"fr,en" default:"fr" doc:"of the headings; French files have semicolons"`
}

// maxImport holds a file of 2 MiB in base64.
const maxImport = roster.MaxBytes/3*4 + 1<<16

func (s *Server) listCalls(api huma.API) {
	search := operation(http.MethodPost, "/clinics/{clinic}/waitlist/search", "searchWaitlist", "Search the waitlist",
		"By name, in one status or any. A POST, so that the name that is looked for stays out of URLs and so out of the logs of proxies.")
	register(s, api, search, func(ctx context.Context, q *searchRequest) (*reply[desk.ListPage], error) {
		return answer(s.cfg.Desk.SearchWaitlist(ctx, q.id(), q.Body))
	})

	entry := operation(http.MethodPost, "/clinics/{clinic}/waitlist/{entry}", "changeEntry", "Edit, snooze, archive or bring back an entry",
		"Answers with the patient afterwards. Offers that do not help the person any more end. 409 when somebody changed the entry meanwhile, with who and when.")
	register(s, api, entry, func(ctx context.Context, q *entryRequest) (*reply[desk.Record], error) {
		return answer(s.cfg.Desk.ChangeEntry(ctx, q.id(), engine.EntryID(q.Entry), callerOf(ctx).ID, q.Body))
	})

	who := operation(http.MethodPost, "/clinics/{clinic}/patients/{patient}", "changePatient", "Write anew who a patient is",
		"Answers with the patient afterwards. 409 when somebody changed the patient meanwhile, with who and when.")
	register(s, api, who, func(ctx context.Context, q *patientRequest) (*reply[desk.Record], error) {
		return answer(s.cfg.Desk.ChangePatient(ctx, q.id(), engine.PatientID(q.Patient), callerOf(ctx).ID, q.Body))
	})

	wish := operation(http.MethodPost, "/clinics/{clinic}/patients/{patient}/entries", "addEntry", "Add another wish of a patient", "Answers with the patient afterwards.")
	register(s, api, wish, func(ctx context.Context, q *wishRequest) (*reply[desk.Record], error) {
		return answer(s.cfg.Desk.AddEntry(ctx, q.id(), engine.PatientID(q.Patient), callerOf(ctx).ID, q.Body))
	})

	proxy := operation(http.MethodPost, "/clinics/{clinic}/patients/{patient}/proxies", "changeProxy", "Add or change who answers for a patient",
		"A proxy's addresses are contacts of the patient that name the proxy. Offers go to the chosen proxies and not to the patient. Answers with the patient.")
	register(s, api, proxy, func(ctx context.Context, q *proxyRequest) (*reply[desk.Record], error) {
		return answer(s.cfg.Desk.ChangeProxy(ctx, q.id(), engine.PatientID(q.Patient), callerOf(ctx).ID, q.Body))
	})

	note := operation(http.MethodPost, "/clinics/{clinic}/patients/{patient}/notes", "changeNote", "Add a note, or take one away",
		"Only the front desk reads notes. Answers with the patient.")
	register(s, api, note, func(ctx context.Context, q *noteChangeRequest) (*reply[desk.Record], error) {
		return answer(s.cfg.Desk.ChangeNote(ctx, q.id(), engine.PatientID(q.Patient), callerOf(ctx).ID, q.Body))
	})
	s.fileCalls(api)
}

// fileCalls are about many people at once.
func (s *Server) fileCalls(api huma.API) {
	twins := operation(http.MethodGet, "/clinics/{clinic}/waitlist/duplicates", "duplicates", "Who may have been entered twice",
		"By record number, name with date of birth, telephone and mailbox, the sure ones first. At most 200 pairs.")
	register(s, api, twins, func(ctx context.Context, q *ClinicPath) (*reply[Duplicates], error) {
		list, err := s.cfg.Desk.Duplicates(ctx, q.id())
		return answer(Duplicates{Pairs: list}, err)
	})

	merge := operation(http.MethodPost, "/clinics/{clinic}/patients/{patient}/merge", "mergePatients", "Make one record of two",
		"Shows what would be kept, does it, or notes that they are two people. Offers, notes, addresses and opt-outs of both stay.")
	register(s, api, merge, func(ctx context.Context, q *mergeRequest) (*reply[desk.Merge], error) {
		return answer(s.cfg.Desk.Merge(ctx, q.id(), engine.PatientID(q.Patient), callerOf(ctx).ID, q.Body))
	})

	file := operation(http.MethodPost, "/clinics/{clinic}/waitlist/import", "importWaitlist", "Take in a waitlist from a file",
		"Comma-separated values with headings in French or English. Says of each line what it does, and why a bad one is left out. The same file twice does nothing the second time.")
	file.MaxBodyBytes = maxImport
	register(s, api, file, func(ctx context.Context, q *importRequest) (*reply[desk.Import], error) {
		return answer(s.cfg.Desk.ImportWaitlist(ctx, q.id(), callerOf(ctx).ID, q.Body.File, q.Body.Dry))
	})

	export := operation(http.MethodGet, "/clinics/{clinic}/waitlist.csv", "exportWaitlist", "The waitlist as a file",
		"Everybody who waits or is snoozed, as the import takes it, without notes. No cell is one that a spreadsheet would carry out.")
	export.Responses["200"] = &huma.Response{Description: "The waitlist", Content: map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: "string"}}}}
	register(s, api, export, func(ctx context.Context, q *exportQuery) (*csvFile, error) {
		body, err := s.cfg.Desk.Export(ctx, q.id(), q.Lang)
		if err != nil {
			return nil, err
		}
		return &csvFile{
			Type: "text/csv; charset=utf-8", Disposition: `attachment; filename="waitlist-` + q.Clinic + `.csv"`, Body: body,
		}, nil
	})
}
