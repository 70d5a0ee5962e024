package sqlmeta

import (
	"os"
	"testing"

	"github.com/moorgate/moorgate/internal/meta/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }
