package outbound

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Policy says where requests may go. Its zero value allows the public internet and nothing else.
// It belongs to the operator: a tenant can never widen it.
type Policy struct {
	// AllowPrivate opens loopback, RFC 1918, unique local and link-local addresses, and the host
	// names that lead there, for development and for those who deliver inside their own network.
	AllowPrivate bool
	// AllowMetadata opens the addresses where clouds hand out credentials, where AllowPrivate or
	// Allow would open them too. Two locks, because one answer from there can cost everything.
	AllowMetadata bool
	// Allow opens further addresses; Deny closes addresses and wins over everything else.
	Allow, Deny []netip.Prefix
	// AllowPorts opens ports that the port rule refuses.
	AllowPorts []uint16
	// NAT64 are the network's RFC 6052 prefixes. Behind them the IPv4 address is what counts.
	NAT64 []netip.Prefix
	// HTTPSOnly refuses plain http.
	HTTPSOnly bool
}

// Check refuses addresses that requests must not reach. It fails closed: what it does not know
// to be public is refused, above all in IPv6, where only 2000::/3 is ever public.
func (p Policy) Check(addr netip.Addr) error {
	if !addr.IsValid() || addr.Zone() != "" {
		return blocked("requests to this IP range are blocked")
	}
	addr = addr.Unmap()
	for _, prefix := range p.NAT64 {
		if prefix.Contains(addr) {
			// Decoded, not allowed blindly: the gateway would carry us to 127.0.0.1 as well.
			addr = embedded4(addr, prefix.Bits())
			break
		}
	}
	if !p.allows(addr) {
		return blocked("requests to this IP range are blocked")
	}
	return nil
}

func (p Policy) allows(addr netip.Addr) bool {
	if !addr.IsValid() || contains(p.Deny, addr) || contains(neverPrefixes, addr) {
		return false
	}
	listed := contains(p.Allow, addr)
	if slices.Contains(metadataAddrs, addr) {
		return p.AllowMetadata && (p.AllowPrivate || listed)
	}
	if listed || p.AllowPrivate && contains(privatePrefixes, addr) {
		return true
	}
	if addr.Is4() {
		return !contains(denied4, addr)
	}
	return global6.Contains(addr) && !contains(denied6, addr)
}

// CheckTarget refuses what can be refused without asking the DNS: the scheme, the port, the host's
// name, and the address when the host is one. Client does the same before every dial; faces call
// it to say so early.
func (p Policy) CheckTarget(t *Target) error {
	if p.HTTPSOnly && !t.https {
		return blocked("only https URLs are allowed")
	}
	if err := p.checkPort(t.port); err != nil {
		return err
	}
	if t.addr.IsValid() {
		return p.Check(t.addr)
	}
	return p.checkHost(t.host)
}

// checkHost is a second wall before the address check. Where the operator has opened addresses,
// it stands aside: internal names are how those are called, and the address check still decides.
func (p Policy) checkHost(host string) error {
	if p.AllowPrivate || len(p.Allow) > 0 {
		return nil
	}
	host = strings.TrimSuffix(host, ".")
	if !strings.Contains(host, ".") {
		return blocked("requests to this host are blocked: its name has no dot")
	}
	for _, suffix := range privateSuffixes {
		if strings.HasSuffix(host, suffix) {
			return blocked(fmt.Sprintf("requests to this host are blocked: names under %s are private", suffix))
		}
	}
	return nil
}

func (p Policy) checkPort(port uint16) error {
	if slices.Contains(p.AllowPorts, port) || port == 80 || port == 443 {
		return nil
	}
	if _, bad := slices.BinarySearch(badPorts, port); bad || port < 1024 {
		return blocked(fmt.Sprintf("requests to port %d are blocked", port))
	}
	return nil
}

func blocked(sentence string) error { return &Error{Kind: Blocked, sentence: sentence} }

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// embedded4 is the IPv4 address inside a NAT64 address, by RFC 6052 §2.2: the four bytes that
// follow the prefix, leaving out byte 8, which is reserved.
func embedded4(addr netip.Addr, bits int) netip.Addr {
	if bits%8 != 0 || bits < 32 || bits > 96 || bits > 64 && bits < 96 || !addr.Is6() {
		return netip.Addr{}
	}
	from, to := addr.As16(), [4]byte{}
	at := bits / 8
	for i := range to {
		if at == 8 {
			at++
		}
		to[i] = from[at]
		at++
	}
	return netip.AddrFrom4(to)
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// The tables below are constants that Go cannot spell as such; nothing writes to them.
var (
	// neverPrefixes are no destination for TCP, whatever the operator opens: "this host", which
	// the kernel takes for loopback, multicast, and broadcast.
	neverPrefixes   = prefixes("0.0.0.0/32", "224.0.0.0/4", "255.255.255.255/32", "::/128", "ff00::/8")
	privatePrefixes = prefixes("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
		"::1/128", "fc00::/7", "fe80::/10")
	denied4 = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32",
		"169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")
	global6       = netip.MustParsePrefix("2000::/3")
	denied6       = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
	metadataAddrs = []netip.Addr{
		netip.MustParseAddr("169.254.169.254"), // AWS, Google, Azure and most others
		netip.MustParseAddr("169.254.170.2"),   // AWS ECS
		netip.MustParseAddr("169.254.170.23"),  // AWS EKS
		netip.MustParseAddr("fd00:ec2::254"),   // AWS
		netip.MustParseAddr("fd00:ec2::23"),    // AWS EKS
		netip.MustParseAddr("fd20:ce::254"),    // Google
		netip.MustParseAddr("168.63.129.16"),   // Azure WireServer
		netip.MustParseAddr("100.100.100.200"), // Alibaba
	}
	privateSuffixes = []string{".localhost", ".local", ".internal", ".home.arpa"}
	// badPorts are WHATWG's bad ports from 1024 up and the ports of well-known databases, sorted.
	badPorts = []uint16{1433, 1434, 1521, 1719, 1720, 1723, 2049, 2379, 2380, 3050, 3306, 3659, 4045, 4190, 5060,
		5061, 5432, 5984, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 7474, 7687, 9042, 9160, 9200,
		9300, 10080, 11211, 26257, 27017, 27018, 27019, 28015}
)
