package outbound

import (
	"net/netip"
	"testing"
)

func TestPolicy_ChecksAddresses(t *testing.T) {
	zero := Policy{}
	private := Policy{AllowPrivate: true}
	both := Policy{AllowPrivate: true, AllowMetadata: true}
	metadataOnly := Policy{AllowMetadata: true}
	listed := Policy{Allow: prefixes("10.1.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "0.0.0.0/0", "fd00::/8", "2001:db8::/32")}
	denied := Policy{AllowPrivate: true, Allow: prefixes("8.8.8.8/32"), Deny: prefixes("8.8.8.0/24", "10.0.0.5/32")}
	nat64 := Policy{NAT64: prefixes("64:ff9b::/96", "2a00:1:2:3::/64", "2a00:55::/32")}
	for _, tt := range []struct {
		name   string
		policy Policy
		ok     bool
		addrs  []string
	}{
		{"public is open", zero, true, []string{
			"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
			"168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
			"192.0.3.1", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
			"198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "::ffff:8.8.8.8",
			"2001:200::1", "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "2003::1", "3ffe:ffff::1", "2600:1f18::1",
		}},
		{"hostile is closed", zero, false, []string{
			"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "100.100.100.200", "127.0.0.1",
			"127.255.255.254", "168.63.129.16", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255",
			"192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7",
			"203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
			"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::ffff:0:7f00:1", "64:ff9b::7f00:1",
			"64:ff9b::808:808", "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:1ff::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1",
			"3fff::1", "3fff:fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%eth0",
			"2606:4700::1%eth0", "fec0::1", "ff02::1", "ffff::1", "1fff::1",
		}},
		{"private opens what is private", private, true, []string{
			"127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.1.1", "::1", "fd12::1", "fe80::1",
			"::ffff:127.0.0.1", "8.8.8.8",
		}},
		{"private opens nothing else", private, false, []string{
			"0.0.0.0", "0.0.0.1", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1", "100.64.0.1", "169.254.169.254",
			"169.254.170.2", "::ffff:169.254.169.254", "fd00:ec2::254", "168.63.129.16", "100.100.100.200", "fe80::1%eth0",
			"::7f00:1", "64:ff9b::7f00:1",
		}},
		{"metadata needs both flags", both, true, []string{
			"169.254.169.254", "169.254.170.2", "fd00:ec2::254", "168.63.129.16", "100.100.100.200"}},
		{"metadata alone opens nothing", metadataOnly, false, []string{"169.254.169.254", "fd00:ec2::254", "168.63.129.16", "10.0.0.1"}},
		{"listed is open", listed, true, []string{"10.1.2.3", "100.64.0.1", "169.254.1.1", "fd12::1", "2001:db8::1"}},
		{"listed keeps the last locks", listed, false, []string{
			"169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "fe80::1"}},
		{"deny wins", denied, false, []string{"8.8.8.8", "8.8.8.1", "10.0.0.5", "::ffff:10.0.0.5"}},
		{"NAT64 is decoded", nat64, true, []string{"64:ff9b::808:808", "2a00:1:2:3:8:808:800::", "2a00:55:808:808::"}},
		{"NAT64 is not believed", nat64, false, []string{
			"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1", "64:ff9b:1::808:808", "2a00:1:2:3:7f:0:100::", "2a00:55:a00:1::"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, text := range tt.addrs {
				err := tt.policy.Check(netip.MustParseAddr(text))
				if (err == nil) != tt.ok {
					t.Errorf("Check(%s): got %v, want ok = %v", text, err, tt.ok)
				}
				if err != nil && kindOf(err) != Blocked {
					t.Errorf("Check(%s): got kind %q, want Blocked", text, kindOf(err))
				}
			}
		})
	}
	if zero.Check(netip.Addr{}) == nil || private.Check(netip.Addr{}) == nil {
		t.Error("Check accepts the zero address")
	}
}

func TestPolicy_ChecksTargets(t *testing.T) {
	for _, tt := range []struct {
		url    string
		policy Policy
		want   string
	}{
		{"https://example.com/", Policy{}, ""},
		{"http://example.com:8080/", Policy{}, ""},
		{"http://example.com/", Policy{HTTPSOnly: true}, "only https URLs are allowed"},
		{"https://example.com/", Policy{HTTPSOnly: true}, ""},
		{"http://localhost/", Policy{}, "requests to this host are blocked: its name has no dot"},
		{"http://localhost./", Policy{}, "requests to this host are blocked: its name has no dot"},
		{"http://LOCALHOST:8080/", Policy{AllowPrivate: true}, ""},
		{"http://a.localhost/", Policy{}, "requests to this host are blocked: names under .localhost are private"},
		{"http://printer.local./", Policy{}, "requests to this host are blocked: names under .local are private"},
		{"http://metadata.google.internal/", Policy{}, "requests to this host are blocked: names under .internal are private"},
		{"http://nas.home.arpa/", Policy{}, "requests to this host are blocked: names under .home.arpa are private"},
		{"http://nas.home.arpa/", Policy{Allow: prefixes("10.0.0.0/8")}, ""},
		{"http://notlocal.example/", Policy{}, ""},
		{"http://backend/", Policy{}, "requests to this host are blocked: its name has no dot"},
		{"http://example.com:22/", Policy{}, "requests to port 22 are blocked"},
		{"http://example.com:6379/", Policy{AllowPrivate: true}, "requests to port 6379 are blocked"},
		{"http://example.com:5432/", Policy{}, "requests to port 5432 are blocked"},
		{"http://example.com:6379/", Policy{AllowPorts: []uint16{6379}}, ""},
		{"http://127.0.0.1/", Policy{}, "requests to this IP range are blocked"},
		{"http://2130706433/", Policy{}, "requests to this IP range are blocked"},
		{"http://0x7f.1/", Policy{}, "requests to this IP range are blocked"},
		{"http://0177.0.0.1/", Policy{}, "requests to this IP range are blocked"},
		{"http://①②⑦.⓪.0.1/", Policy{}, "requests to this IP range are blocked"},
		{"http://[::ffff:127.0.0.1]/", Policy{}, "requests to this IP range are blocked"},
		{"http://[2606:4700::1111]/", Policy{}, ""},
	} {
		got := ""
		if err := tt.policy.CheckTarget(mustTarget(t, tt.url)); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("CheckTarget(%s): got %q, want %q", tt.url, got, tt.want)
		}
	}
}

func TestPolicy_PortTableIsSorted(t *testing.T) {
	for i := 1; i < len(badPorts); i++ {
		if badPorts[i-1] >= badPorts[i] {
			t.Errorf("port %d comes after %d", badPorts[i], badPorts[i-1])
		}
	}
}
