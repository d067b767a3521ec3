package engine

import (
	"errors"
	"fmt"
)

// Code says what kind of failure an Error is. Transports map it once to their own statuses.
type Code string

// The closed list of codes.
const (
	Invalid     Code = "invalid"      // the input is wrong; the message says how
	NotFound    Code = "not_found"    // there is no such thing, or not for this caller
	Conflict    Code = "conflict"     // somebody changed it meanwhile
	Forbidden   Code = "forbidden"    // known caller, not allowed
	Unsigned    Code = "unsigned"     // not signed in, or a signature does not match
	TooMany     Code = "too_many"     // a limit was reached; later may work
	Unavailable Code = "unavailable"  // a part that is needed does not answer; later may work
	StorageFull Code = "storage_full" // the store cannot write; reading goes on
	Internal    Code = "internal"     // our fault
)

// Error is a failure with a code and a sentence for the person or program that asked.
// Message never carries personal data.
type Error struct {
	Code    Code
	Message string
	Err     error // the cause, for logs; may be nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error without a cause.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the first Error in err's chain, and Internal when there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
