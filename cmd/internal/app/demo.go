package app

import (
	"context"
	"errors"
	"io"
)

func runDemo(_ context.Context, _ DemoOptions, _ io.Writer) error {
	return errors.New("demo: not wired yet")
}
