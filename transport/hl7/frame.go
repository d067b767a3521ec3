package hl7

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// The bytes of a frame: start, content, end, carriage return. HL7 Minimal Lower Layer Protocol,
// release 1.
const (
	frameStart = 0x0b
	frameEnd   = 0x1c
)

// MaxFrame is the largest message that is taken, in bytes; those of schedules are a few thousand.
const MaxFrame = 1 << 20

// maxNoise is how many bytes outside of frames may come before a message.
const maxNoise = 4 << 10

// The ways in which a stream is not MLLP.
var (
	errTooLarge = fmt.Errorf("the message is larger than %d bytes", MaxFrame) //nolint:gochecknoglobals // a sentinel
	errNoise    = errors.New("what came is not framed as MLLP")
)

// frames reads the messages of a stream. began is called when one starts.
type frames struct {
	r     *bufio.Reader
	began func()
	noise int
}

func newFrames(r io.Reader, began func()) *frames {
	return &frames{r: bufio.NewReaderSize(r, 8<<10), began: began}
}

// next returns the next message. It does not wait for the carriage return after one: a sender that
// forgets it is waiting for an answer. With errTooLarge come the first MaxFrame bytes.
func (f *frames) next() ([]byte, error) {
	for {
		c, err := f.r.ReadByte()
		if err != nil {
			return nil, err
		}
		if c == frameStart {
			break
		}
		if f.noise++; f.noise > maxNoise {
			return nil, errNoise
		}
	}
	f.began()
	var out []byte
	for {
		part, err := f.r.ReadSlice(frameEnd)
		out = append(out, part...)
		if len(out) > MaxFrame+1 {
			return out[:MaxFrame], errTooLarge
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		return f.whole(out[:len(out)-1])
	}
}

// whole drops a message that was cut short by the start of another one inside the same frame.
func (f *frames) whole(out []byte) ([]byte, error) {
	start := bytes.LastIndexByte(out, frameStart)
	if f.noise+start > maxNoise {
		return nil, errNoise
	}
	f.noise = 0 // or the ends of lines between messages would add up over a day
	return out[start+1:], nil
}

// frame puts a message into a frame.
func frame(message []byte) []byte {
	out := make([]byte, 0, len(message)+3)
	out = append(out, frameStart)
	out = append(out, message...)
	return append(out, frameEnd, '\r')
}

// Frames reads the messages of a stream; see Frame.
type Frames struct{ f *frames }

// NewFrames makes a reader of the messages in r.
func NewFrames(r io.Reader) *Frames { return &Frames{newFrames(r, func() {})} }

// Next returns the next message without its frame. An error that is not the stream's own means that
// what comes is not MLLP, or a message larger than MaxFrame.
func (f *Frames) Next() ([]byte, error) { return f.f.next() }

// Frame puts a message into a frame.
func Frame(message []byte) []byte { return frame(message) }
