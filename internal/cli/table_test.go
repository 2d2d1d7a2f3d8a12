package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestTable_KeepsOnATerminalWhatTellsIDsApart(t *testing.T) {
	const id, message = "atmpt_3MVlrsjkVi2pHgcsGl1GYOe9a3o", "msg_3MVlrsk5BokO0Otqtd1xWWoDuae"
	var out bytes.Buffer
	sh := newShell(nil, &out, &out)
	sh.width = 60
	rows := newTable("ID", "MESSAGE", "ERROR")
	rows.add(id, message, "could not connect: connection refused")
	rows.write(sh)

	row := strings.Split(strings.TrimSpace(out.String()), "\n")[1]
	cells := strings.Fields(row)
	if cells[0] != id {
		t.Errorf("the id was cut: %q", row)
	}
	if !strings.HasPrefix(cells[1], "msg_…") || !strings.HasSuffix(message, strings.TrimPrefix(cells[1], "msg_…")) {
		t.Errorf("the message's id lost its end: %q", row)
	}
	if n := len([]rune(row)); n > 60 {
		t.Errorf("%d columns on a terminal of 60: %q", n, row)
	}
}
