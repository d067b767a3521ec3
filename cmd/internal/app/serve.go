package app

import (
	"context"
	"errors"
	"io"
)

func runServe(_ context.Context, _ Config, _ io.Writer) error {
	return errors.New("serve: not wired yet")
}
