package witness

import (
	"context"
	"fmt"
	"net/http"

	"github.com/harkhq/hark/test/harness"
)

// Audit lists all successful attempts at an endpoint through the API and writes them down. When all
// endpoints were audited, write the event Audited.
func Audit(ctx context.Context, client *harness.Client, j *Journal, app, endpoint, path string) error {
	iterator := ""
	for {
		var page struct {
			Data     []harness.Attempt
			Iterator string
			Done     bool
		}
		list := fmt.Sprintf("/api/v1/app/%s/attempt/endpoint/%s?limit=250&status=0&with_content=false%s", app, endpoint, iterator)
		status, err := client.Do(ctx, http.MethodGet, list, nil, &page)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("list the attempts at %s: %d", path, status)
		}
		for _, a := range page.Data {
			j.Write(Event{Kind: Recorded, ID: a.MsgID, Endpoint: path, Note: a.ID})
		}
		if page.Done {
			return nil
		}
		iterator = "&iterator=" + page.Iterator
	}
}
