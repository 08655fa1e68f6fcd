package membership

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
)

func member(name string, digit byte, epoch uint64, cluster string) Member {
	return Member{ID: id(name, digit), Name: name, Epoch: epoch, ClusterID: cluster}
}

func TestJudgement(t *testing.T) {
	self := member("alpha", 'a', 5, clusterX)
	table := newTable(self)
	table.alive(member("beta", 'b', 3, clusterX))
	table.alive(member("gamma", 'c', 3, ""))
	table.gone(id("gamma", 'c'), 3)
	for name, c := range map[string]struct {
		node Member
		want reason
	}{
		"itself":                            {self, 0},
		"itself, before it had a cluster":   {member("alpha", 'a', 5, ""), 0},
		"itself, started later":             {member("alpha", 'a', 6, clusterX), ownIdentity},
		"itself, started before":            {member("alpha", 'a', 4, clusterX), predecessor},
		"its name":                          {member("alpha", 'b', 1, clusterX), ownName},
		"a new node":                        {member("delta", 'd', 1, clusterX), 0},
		"a node without a cluster":          {member("delta", 'd', 1, ""), 0},
		"another cluster's":                 {member("delta", 'd', 1, clusterY), otherCluster},
		"another cluster's with its name":   {member("alpha", 'd', 1, clusterY), otherCluster},
		"a known one":                       {member("beta", 'b', 3, clusterX), 0},
		"a known one, restarted":            {member("beta", 'b', 4, clusterX), 0},
		"a known one's predecessor":         {member("beta", 'b', 2, clusterX), predecessor},
		"the name of a living one":          {member("beta", 'd', 9, clusterX), nameTaken},
		"the name of a dead one":            {member("gamma", 'd', 1, clusterX), 0},
		"a dead one that returns":           {member("gamma", 'c', 3, clusterX), 0},
		"a dead one's predecessor":          {member("gamma", 'c', 2, clusterX), predecessor},
		"a known one that joined another's": {member("beta", 'b', 3, clusterY), otherCluster},
	} {
		var got reason
		why := table.judge(c.node)
		if why != nil {
			got = why.reason
		}
		if got != c.want {
			t.Errorf("%s: %v, want reason %d", name, why, c.want)
		}
	}
}

func TestTheTableIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newTable(member("self", 'a', 1, ""))
		for i := range maxMembers {
			m := member(fmt.Sprintf("n%d", i), 'b', 1, "")
			if why := table.judge(m); why != nil {
				t.Fatalf("member %d: %v", i, why)
			}
			table.alive(m)
		}
		if why := table.judge(member("more", 'b', 1, "")); why == nil || why.reason != tooMany {
			t.Fatalf("one more: %v", why)
		}
		if why := table.judge(member("n7", 'b', 2, "")); why != nil {
			t.Fatalf("the restart of a known one: %v", why)
		}
		for i := range maxMembers {
			time.Sleep(time.Second)
			table.gone(id(fmt.Sprintf("n%d", i), 'b'), 1)
		}
		if n := len(table.others()); n != maxGone {
			t.Fatalf("%d dead members are kept, want %d", n, maxGone)
		}
		if _, ok := table.member(id(fmt.Sprintf("n%d", maxMembers-1), 'b')); !ok {
			t.Fatal("the latest dead member was forgotten before older ones")
		}
	})
}

func TestRemarksAreLimitedAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		r := newRemarks(slog.New(slog.NewTextHandler(log, nil)))
		for range 10 {
			r.warn("a", "first")
		}
		if got := log.count("first"); got != 1 {
			t.Errorf("%d lines in one minute, want 1", got)
		}
		time.Sleep(repeatAfter)
		r.warn("a", "first")
		if got := log.count("first"); got != 2 {
			t.Errorf("%d lines after a minute, want 2", got)
		}
		for i := range 10 * maxRemarks {
			r.warn(fmt.Sprint("stranger ", i), "flood")
		}
		if got := log.count("flood"); got > maxRemarks || len(r.last) > maxRemarks+1 {
			t.Errorf("%d lines, %d keys in a flood", got, len(r.last))
		}
	})
}

func TestMemberlistsOwnLinesStayAtDebug(t *testing.T) {
	log := &lines{}
	b := &logBridge{remarks: newRemarks(slog.New(slog.NewTextHandler(log, nil)))}
	for _, line := range []string{
		"[ERR] memberlist: Failed fallback TCP ping: timeout 1s: read tcp\n",
		"[WARN] memberlist: Refuting a suspect message (from: x)\n",
		"[INFO] memberlist: Suspect x has failed, no acks received\n",
		"[DEBUG] memberlist: failed to join 10.0.0.1:7946: no installed keys could decrypt the message\n",
		"",
	} {
		if _, err := io.WriteString(b, line); err != nil {
			t.Fatal(err)
		}
	}
	if log.String() != "" {
		t.Errorf("logged above debug:\n%s", log)
	}
	for range 3 {
		io.WriteString(b, "[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=[fd00::7]:41000\n")
	}
	if got := log.count("level=WARN", "from=fd00::7"); got != 1 {
		t.Errorf("%d lines about a stranger, want 1:\n%s", got, log)
	}
}

// Nodes of versions to come, and whatever else has the key.
func TestUnreadableNodesAreRefused(t *testing.T) {
	log := &lines{}
	d := &delegate{table: newTable(member("alpha", 'a', 1, "")), remarks: newRemarks(slog.New(slog.NewTextHandler(log, nil)))}
	for _, n := range []*memberlist.Node{
		{Name: "consul-1", Addr: net.IPv4(10, 0, 0, 9), Port: 1, Meta: []byte{metaVersion}},
		{Name: id("beta", 'b') + "#1", Addr: net.IPv4(10, 0, 0, 9), Port: 1, Meta: []byte{99}},
		{Name: id("beta", 'b') + "#1", Addr: net.IPv4(10, 0, 0, 9), Port: 1},
	} {
		if err := d.NotifyAlive(n); err == nil || !strings.HasPrefix(err.Error(), refusalMark) {
			t.Errorf("NotifyAlive(%q) = %v", n.Name, err)
		}
		if err := d.NotifyMerge([]*memberlist.Node{n}); err == nil {
			t.Errorf("NotifyMerge(%q) passed", n.Name)
		}
	}
	if got := log.count("level=WARN"); got != 1 {
		t.Errorf("%d lines, want 1:\n%s", got, log)
	}
}

func TestOneProcessAtTwoAddressesIsAConflict(t *testing.T) {
	log := &lines{}
	d := &delegate{table: newTable(member("alpha", 'a', 1, "")), remarks: newRemarks(slog.New(slog.NewTextHandler(log, nil)))}
	for range 3 {
		d.NotifyConflict(
			&memberlist.Node{Name: id("beta", 'b') + "#1", Addr: net.IPv4(10, 0, 0, 2), Port: 7946},
			&memberlist.Node{Name: id("beta", 'b') + "#1", Addr: net.IPv4(10, 0, 0, 3), Port: 7946})
	}
	if got := log.count("level=WARN", "10.0.0.2", "10.0.0.3"); got != 1 {
		t.Errorf("%d lines, want 1:\n%s", got, log)
	}
}
