package manage

import "context"

// Permission is a line of the permission table, for Allow.
type Permission struct{ op operation }

// PermissionOf finds the line of an operation by its name, such as "endpoint.create".
func PermissionOf(name string) (p Permission, ok bool) {
	for op := range operations {
		if rules[op].name == name {
			return Permission{op}, true
		}
	}
	return p, false
}

// Allow says whether the caller may do an operation, and that there is the application it is about
// ("" when it is about none, or makes it). Faces ask before they read a request's input, so that
// "you may not" and "there is no such thing" win over "your input is wrong". The operation decides
// again by itself: a face that does not ask gives nothing away.
func (m *Manager) Allow(ctx context.Context, c Caller, p Permission, app string) error {
	if err := c.permit(p.op); err != nil {
		return err
	}
	if app == "" {
		return nil
	}
	_, err := m.findApp(ctx, &c, app)
	return err
}
