package membership

import (
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"
)

func TestMetadataComesBackAsItWas(t *testing.T) {
	for _, m := range []Member{
		{},
		{ClusterID: clusterX, PeerAddr: "10.0.0.1:7947", AMQPAddr: "[fd00::1]:5672", Zone: "zürich-1", Version: "1.2.3"},
		{Zone: strings.Repeat("z", 255)},
	} {
		b, err := encodeMeta(m)
		if err != nil {
			t.Fatalf("encode %+v: %v", m, err)
		}
		var got Member
		if err := decodeMeta(b, &got); err != nil || got != m {
			t.Errorf("decode: %+v, %v, want %+v", got, err, m)
		}
	}
}

func TestMetadataThatCannotBeToldIsRefused(t *testing.T) {
	long := strings.Repeat("z", 200)
	for name, m := range map[string]Member{
		"a field above 255 bytes":      {Zone: strings.Repeat("z", 256)},
		"more than 512 bytes together": {Zone: long, PeerAddr: long, AMQPAddr: long},
		"a control character":          {Zone: "a\nb"},
		"not UTF-8":                    {Zone: "\xff"},
	} {
		if b, err := encodeMeta(m); err == nil {
			t.Errorf("%s: %d bytes, no error", name, len(b))
		}
	}
}

func TestUnreadableMetadataIsRefused(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":               "",
		"another version":       "\x02",
		"a tag without length":  "\x01\x04",
		"a value that is short": "\x01\x04\x05zone",
		"a field twice":         "\x01\x04\x01a\x04\x01b",
		"an unknown one twice":  "\x01\xc8\x00\xc8\x00",
		"a line break":          "\x01\x04\x03a\nb",
		"above the limit":       "\x01" + strings.Repeat("x", memberlist.MetaMaxSize),
	} {
		if err := decodeMeta([]byte(in), new(Member)); !errors.Is(err, errMeta) {
			t.Errorf("%s: %v, want errMeta", name, err)
		}
	}
}

func TestFieldsOfNewerNodesAreSkipped(t *testing.T) {
	var m Member
	if err := decodeMeta([]byte("\x01\xc8\x03new\x04\x01a"), &m); err != nil || m.Zone != "a" {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzMeta(f *testing.F) {
	for _, m := range []Member{{}, {ClusterID: clusterX, PeerAddr: "10.0.0.1:7947", Zone: "z", Version: "1"}} {
		b, err := encodeMeta(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\x01\xc8\x03new\x04\x01a"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var m, again Member
		if decodeMeta(in, &m) != nil {
			return
		}
		b, err := encodeMeta(m)
		if err != nil || len(b) > len(in) {
			t.Fatalf("% x decodes to %+v, which encodes to % x, %v", in, m, b, err)
		}
		if err := decodeMeta(b, &again); err != nil || again != m {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}

func TestNodeNames(t *testing.T) {
	m, err := parseNodeName("broker-0.warren@0123456789abcdef#42")
	if err != nil || m.ID != "broker-0.warren@0123456789abcdef" || m.Name != "broker-0.warren" || m.Epoch != 42 {
		t.Errorf("%+v, %v", m, err)
	}
	for name, in := range map[string]string{
		"no epoch":                  "a@0123456789abcdef",
		"no incarnation":            "a#1",
		"no name":                   "@0123456789abcdef#1",
		"a short incarnation":       "a@0123#1",
		"an upper-case incarnation": "a@0123456789ABCDEF#1",
		"a signed epoch":            "a@0123456789abcdef#+1",
		"an epoch with zeros":       "a@0123456789abcdef#01",
		"an epoch that overflows":   "a@0123456789abcdef#18446744073709551616",
		"a slash in the name":       "a/b@0123456789abcdef#1",
		"a space in the name":       "a b@0123456789abcdef#1",
		"a long name":               strings.Repeat("a", 129) + "@0123456789abcdef#1",
	} {
		if m, err := parseNodeName(in); !errors.Is(err, errNodeName) {
			t.Errorf("%s: %+v, %v, want errNodeName", name, m, err)
		}
	}
}

func FuzzNodeName(f *testing.F) {
	f.Add("a@0123456789abcdef#1")
	f.Add("a@@#")
	f.Fuzz(func(t *testing.T, in string) {
		m, err := parseNodeName(in)
		if err == nil && nodeName(m.ID, m.Epoch) != in {
			t.Fatalf("%q came back as %q", in, nodeName(m.ID, m.Epoch))
		}
	})
}

func FuzzNotifyMsg(f *testing.F) {
	f.Add(encodeFarewell("a@0123456789abcdef#1"))
	f.Fuzz(func(t *testing.T, in []byte) {
		table := newTable(Member{ID: "self"})
		table.alive(Member{ID: "a@0123456789abcdef", Name: "a", Epoch: 1})
		(&delegate{table: table}).NotifyMsg(in)
		if m, _ := table.member("a@0123456789abcdef"); !m.Alive {
			t.Fatal("a message took a living member away")
		}
	})
}
