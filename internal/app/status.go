package app

import (
	"os"
	"time"

	"github.com/moorgate/moorgate/internal/control"
	"github.com/moorgate/moorgate/internal/process"
)

// status is what the operator is told about the server.
func (s *Server) status() control.Status {
	return control.Status{
		Version: process.Version(), Role: string(s.role), PID: os.Getpid(),
		Started: s.started.UTC(), Uptime: int64(time.Since(s.started).Seconds()), Usage: process.Read(),
	}
}
