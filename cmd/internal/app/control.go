package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"relais/actors"
	"relais/engine"
	"relais/storage/bolt"
)

// control is what commands do to a store: inside relais serve when it runs, which has the store open, and
// else in the process of the command. Beside the store lies a socket that only the user who runs relais
// can open; commands find the running program there.
type control struct {
	store  *bolt.Store
	keys   *keyFile
	relais *actors.Relais // nil: no actors run
	cfg    *Config
	backup *backups // nil: in a command
	feeds  func() int
	log    *slog.Logger
}

// deed is one thing that a command asks for. say tells a line while it works.
type deed func(c *control, ctx context.Context, in []byte, say func(string)) (out any, err error)

// deeds is the closed list, by name. It is filled here so that each file keeps its own.
func deeds() map[string]deed {
	return map[string]deed{
		"backup":       deedOf((*control).takeBackup),
		"status":       deedOf((*control).status),
		"check":        deedOf((*control).check),
		"audit_verify": deedOf((*control).verifyChains),
		"audit_export": deedOf((*control).exportChain),

		"patient_export":  deedOf((*control).exportPatient),
		"patient_erase":   deedOf((*control).erasePatient),
		"patient_correct": deedOf((*control).correctPatient),
		"key_reseal":      deedOf((*control).reseal),
		"key_rotate":      deedOf((*control).rotateKey),
		"consents":        deedOf((*control).listConsents),
		"incident_add":    deedOf((*control).addIncident),
		"incidents":       deedOf((*control).listIncidents),
	}
}

// deedOf reads the argument of a deed from JSON.
func deedOf[In, Out any](do func(c *control, ctx context.Context, in In, say func(string)) (Out, error)) deed {
	return func(c *control, ctx context.Context, in []byte, say func(string)) (any, error) {
		var arg In
		if err := json.Unmarshal(in, &arg); err != nil {
			return nil, engine.Errorf(engine.Invalid, "the command and the running relais are of different versions; use the same program for both")
		}
		return do(c, ctx, arg, say)
	}
}

// controlSocket is the name of the socket, beside the store.
const controlSocket = "control.sock"

// mostControl bounds an argument, in bytes, and controls how many are carried out at once.
const (
	mostControl = 1 << 20
	controls    = 4
)

// message is one line of an answer.
type message struct {
	Say   string          `json:"say,omitempty"`
	Done  json.RawMessage `json:"done,omitempty"`
	Error string          `json:"error,omitempty"`
	Code  engine.Code     `json:"code,omitempty"`
}

// ServeHTTP carries out a deed and streams what it says.
func (c *control) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	do, ok := deeds()[req.PathValue("deed")]
	if !ok {
		http.Error(w, "unknown", http.StatusNotFound)
		return
	}
	in, err := io.ReadAll(http.MaxBytesReader(w, req.Body, mostControl))
	if err != nil {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	out := json.NewEncoder(w)
	var flushed time.Time
	send := func(m message) {
		if out.Encode(m) == nil && time.Since(flushed) > 100*time.Millisecond {
			_ = http.NewResponseController(w).Flush()
			flushed = time.Now()
		}
	}
	done, err := do(c, req.Context(), in, func(line string) { send(message{Say: line}) })
	if err == nil {
		var data []byte
		if data, err = json.Marshal(done); err == nil {
			send(message{Done: data})
			return
		}
	}
	send(message{Error: err.Error(), Code: engine.CodeOf(err)})
}

// listenControl opens the socket of a running program. Without one everything works but the commands.
func (p *program) listenControl(ctx context.Context) {
	path, release, err := socketPath(p.cfg.Data)
	if err != nil {
		p.log.Warn("commands such as relais backup will not find this process", "error", err)
		return
	}
	_ = os.Remove(path) // of a process that crashed: the store's lock says that it is gone
	listen, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		release()
		p.log.Warn("commands such as relais backup will not find this process", "error", err)
		return
	}
	mux := http.NewServeMux()
	busy, c := make(chan struct{}, controls), p.control()
	mux.HandleFunc("POST /{deed}", func(w http.ResponseWriter, req *http.Request) {
		select {
		case busy <- struct{}{}:
			defer func() { <-busy }()
			c.ServeHTTP(w, req)
		case <-req.Context().Done():
		}
	})
	c.debugPages(mux)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 4 << 10, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug)}
	go func() { _ = server.Serve(listen) }()
	p.stopping = append(p.stopping, func() { _ = server.Close() })
	p.closers = append(p.closers, func() { // before the store is closed, also when nothing was served
		_ = server.Close()
		release()
	})
}

func (p *program) control() *control {
	return &control{store: p.store, keys: p.keys, relais: p.relais, cfg: &p.cfg, backup: p.backups, feeds: p.web.Feeds, log: p.log}
}

// longestSocket is what fits into the system's address of a socket, everywhere.
const longestSocket = 100

// socketPath names the socket of a directory; by the directory's number when its name is too long.
// release is called when the path is no longer used.
func socketPath(dir string) (path string, release func(), err error) {
	path = filepath.Join(dir, controlSocket)
	if len(path) <= longestSocket {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("the name of the directory %s is too long for a socket; choose a shorter one", dir)
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return "/proc/self/fd/" + strconv.Itoa(int(d.Fd())) + "/" + controlSocket, func() { _ = d.Close() }, nil
}

// ask has a deed done for a store: by the program that has it open, or here. What it says on the way goes to
// the error output.
func (s *storeFlags) ask(ctx context.Context, io *streams, name string, in, out any) error {
	return s.asking(ctx, io, io.err, name, in, out)
}

func (s *storeFlags) asking(ctx context.Context, io *streams, to io.Writer, name string, in, out any) error {
	cfg, err := s.settings(io)
	if err != nil {
		return err
	}
	arg, err := json.Marshal(in)
	if err != nil {
		return err
	}
	lines := &lineWriter{w: to}
	done, err := askRunning(ctx, cfg.Data, name, arg, lines.say)
	if errors.Is(err, errNobody) {
		done, err = askHere(ctx, cfg, name, arg, lines.say)
	}
	if err = errors.Join(err, lines.err); err != nil {
		return err
	}
	return json.Unmarshal(done, out)
}

// errNobody says that no program answers for a store.
var errNobody = errors.New("no running relais")

func askRunning(ctx context.Context, dir, name string, arg []byte, say func(string)) (json.RawMessage, error) {
	path, release, err := socketPath(dir)
	if err != nil {
		return nil, errNobody
	}
	defer release()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
			if err != nil {
				return nil, errNobody
			}
			return conn, nil
		},
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://relais/"+name, bytes.NewReader(arg))
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		if errors.Is(err, errNobody) {
			return nil, errNobody
		}
		return nil, fmt.Errorf("ask the running relais: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, errors.New("the running relais does not know this command; use the same version for both")
	}
	lines := json.NewDecoder(bufio.NewReader(res.Body))
	for {
		var m message
		if err := lines.Decode(&m); err != nil {
			return nil, fmt.Errorf("the running relais ended before it was done: %w", err)
		}
		switch {
		case m.Error != "":
			return nil, &engine.Error{Code: m.Code, Message: m.Error}
		case m.Done != nil:
			return m.Done, nil
		}
		say(m.Say)
	}
}

// askHere opens the store and does it in this process.
func askHere(ctx context.Context, cfg Config, name string, arg []byte, say func(string)) (done json.RawMessage, err error) {
	store, sealer, err := openWithKey(cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	c := &control{store: store, keys: &keyFile{cfg.KeyFile, sealer}, cfg: &cfg, log: slog.New(slog.DiscardHandler)}
	out, err := deeds()[name](c, ctx, arg, say)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}
