package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/warrenmq/warren/cmd/control"
)

// alarm is a node's shortage.
type alarm struct {
	Type     string `json:"type"`
	Resource string `json:"resource"`
	Node     string `json:"node"`
}

func (a alarm) String() string {
	if a.Resource == "disk" {
		return "Free disk space alarm on node " + a.Node
	}
	return "Memory alarm on node " + a.Node
}

// nodeJSON is what the tool shows of a node.
type nodeJSON struct {
	Name          string     `json:"name"`
	Running       bool       `json:"running"`
	OSPid         string     `json:"os_pid"`
	Uptime        int64      `json:"uptime"`
	BeingDrained  bool       `json:"being_drained"`
	Version       string     `json:"version"`
	DataDir       string     `json:"data_dir"`
	FDUsed        uint64     `json:"fd_used"`
	FDTotal       uint64     `json:"fd_total"`
	MemUsed       uint64     `json:"mem_used"`
	MemLimit      uint64     `json:"mem_limit"`
	MemAlarm      bool       `json:"mem_alarm"`
	MemWatermark  string     `json:"mem_watermark"`
	DiskFree      uint64     `json:"disk_free"`
	DiskFreeLimit uint64     `json:"disk_free_limit"`
	DiskFreeAlarm bool       `json:"disk_free_alarm"`
	Connections   int        `json:"connections"`
	Listeners     []listener `json:"listeners"`
}

type listener struct {
	Node      string `json:"node"`
	Protocol  string `json:"protocol"`
	IPAddress string `json:"ip_address"`
	Port      int    `json:"port"`
}

func (l listener) purpose() string {
	switch l.Protocol {
	case "amqp":
		return "AMQP 0-9-1"
	case "amqp/ssl":
		return "AMQP 0-9-1 over TLS"
	}
	return "inter-node communication"
}

// alarms are those of the nodes, in their order.
func alarms(nodes []nodeJSON) []alarm {
	list := []alarm{}
	for _, n := range nodes {
		if n.MemAlarm {
			list = append(list, alarm{"resource_limit", "memory", n.Name})
		}
		if n.DiskFreeAlarm {
			list = append(list, alarm{"resource_limit", "disk", n.Name})
		}
	}
	return list
}

func (t *tool) nodes() {
	t.add("cluster_status", "Nodes, alarms, queue groups and their leaders", 0, 0, clusterStatus)
	t.add("status", "Status of the node", 0, 0, status)
	t.add("set_vm_memory_high_watermark <fraction> | absolute <value>", "Sets the memory high watermark of the node, until it restarts", 1, 2,
		func(c *call, args []string) error {
			value, err := watermark(args)
			if err != nil {
				return err
			}
			c.banner("Setting memory threshold to %s ...", args[len(args)-1])
			return c.succeeded(c.node.PutText(c.ctx, "/limits/memory", value))
		})
	t.add("set_disk_free_limit <disk_limit> | mem_relative <fraction>", "Sets the limit of free disk space of the node, until it restarts", 1, 2,
		func(c *call, args []string) error {
			value, err := diskFreeLimit(args)
			if err != nil {
				return err
			}
			if len(args) == 2 {
				c.banner("Setting disk free limit to %s times the total RAM ...", args[1])
			} else {
				c.banner("Setting disk free limit to %s bytes ...", args[0])
			}
			return c.succeeded(c.node.PutText(c.ctx, "/limits/disk", value))
		})
}

// watermark reads the arguments of set_vm_memory_high_watermark.
func watermark(args []string) (string, error) {
	if args[0] == "absolute" {
		if len(args) < 2 {
			return "", &failure{exitUsage, "not enough arguments.\nUsage: warrenctl set_vm_memory_high_watermark <fraction> | absolute <value>"}
		}
		n, ok := size(args[1])
		if !ok || n <= 1 {
			return "", &failure{exitUsage, "The threshold should be an integer, with a unit of k, kiB, kB, M, MiB, MB, G, GiB or GB if any."}
		}
		return strconv.FormatInt(n, 10), nil
	}
	f, err := strconv.ParseFloat(args[0], 64)
	switch {
	case len(args) > 1:
		return "", &failure{exitUsage, "too many arguments."}
	case err != nil:
		return "", &failure{exitUsage, "bad argument: " + args[0]}
	case f < 0 || f > 1:
		return "", &failure{exitUsage, "The threshold should be a fraction between 0.0 and 1.0"}
	}
	return args[0], nil
}

// diskFreeLimit reads the arguments of set_disk_free_limit.
func diskFreeLimit(args []string) (string, error) {
	if args[0] == "mem_relative" {
		if len(args) < 2 {
			return "", &failure{exitUsage, "not enough arguments.\nUsage: warrenctl set_disk_free_limit <disk_limit> | mem_relative <fraction>"}
		}
		f, err := strconv.ParseFloat(args[1], 64)
		if err != nil || f < 0 {
			return "", &failure{exitUsage, "bad argument: " + args[1]}
		}
		text := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0" // the node takes a whole number for bytes
		}
		return text, nil
	}
	n, ok := size(args[0])
	switch {
	case len(args) > 1:
		return "", &failure{exitUsage, "too many arguments."}
	case !ok:
		return "", &failure{exitUsage, "bad argument: " + args[0]}
	}
	return strconv.FormatInt(n, 10), nil
}

// size reads a size with the units of rabbitmqctl, whose bare letters are
// powers of two, other than those of the configuration.
func size(s string) (int64, bool) {
	digits := strings.TrimRightFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, ok := map[string]int64{
		"": 1, "k": 1 << 10, "kiB": 1 << 10, "M": 1 << 20, "MiB": 1 << 20, "G": 1 << 30, "GiB": 1 << 30,
		"kB": 1e3, "MB": 1e6, "GB": 1e9,
	}[s[len(digits):]]
	return n * unit, err == nil && ok && n >= 0 && n <= math.MaxInt64/unit
}

func status(c *call, _ []string) error {
	var overview struct {
		Node           string `json:"node"`
		RabbitMQ       string `json:"rabbitmq_version"`
		ProductName    string `json:"product_name"`
		ProductVersion string `json:"product_version"`
		Totals         struct {
			Connections int `json:"connections"`
			Queues      int `json:"queues"`
		} `json:"object_totals"`
	}
	if err := c.node.Get(c.ctx, control.Path("overview"), &overview); err != nil {
		return err
	}
	var nodes []nodeJSON
	if err := c.node.Get(c.ctx, control.Path("nodes"), &nodes); err != nil {
		return err
	}
	var vhosts []any
	if err := c.node.Get(c.ctx, control.Path("vhosts"), &vhosts); err != nil {
		return err
	}
	var n nodeJSON
	for _, other := range nodes {
		if other.Name == overview.Node {
			n = other
		}
	}
	s, err := control.Get(c.ctx, c.data)
	if err != nil {
		return err
	}
	short := alarms(nodes)
	if c.formatter == "json" {
		return json.NewEncoder(c.out).Encode(map[string]any{
			"alarms": short, "data_directory": n.DataDir, "disk_free": n.DiskFree, "disk_free_limit": n.DiskFreeLimit,
			"file_descriptors":     map[string]any{"total_limit": n.FDTotal, "total_used": n.FDUsed},
			"is_under_maintenance": n.BeingDrained, "listeners": n.Listeners, "os": "Linux", "pid": n.OSPid,
			"memory": map[string]any{"total": map[string]any{"rss": n.MemUsed}, "strategy": "rss"},
			"level":  s.Level, "known_level": s.Known,
			"product_name": overview.ProductName, "product_version": overview.ProductVersion, "rabbitmq_version": overview.RabbitMQ,
			"totals":                         map[string]any{"virtual_host_count": len(vhosts), "connection_count": overview.Totals.Connections, "queue_count": overview.Totals.Queues},
			"uptime":                         n.Uptime / 1000,
			"vm_memory_calculation_strategy": "rss", "vm_memory_high_watermark_limit": n.MemLimit, "vm_memory_high_watermark_setting": n.MemWatermark,
		})
	}
	c.banner("Status of node %s ...", n.Name)
	fmt.Fprintf(c.out, "Runtime\n\nOS PID: %s\nUptime (seconds): %d\nIs under maintenance?: %v\nProduct: %s %s\nRabbitMQ version: %s\nNode data directory: %s\nLevel of the cluster: %d, known to the node: %d\n",
		n.OSPid, n.Uptime/1000, n.BeingDrained, overview.ProductName, overview.ProductVersion, overview.RabbitMQ, n.DataDir, s.Level, s.Known)
	fmt.Fprintf(c.out, "\nAlarms\n\n")
	writeAlarms(c, short)
	fmt.Fprintf(c.out, "\nMemory\n\nTotal memory used: %s\nCalculation strategy: rss\nMemory high watermark setting: %s, computed to: %s\n",
		gb(n.MemUsed), n.MemWatermark, gb(n.MemLimit))
	fmt.Fprintf(c.out, "\nFile Descriptors\n\nTotal: %d, limit: %d\n", n.FDUsed, n.FDTotal)
	fmt.Fprintf(c.out, "\nFree Disk Space\n\nLow free disk space watermark: %s\nFree disk space: %s\n", gb(n.DiskFreeLimit), gb(n.DiskFree))
	fmt.Fprintf(c.out, "\nTotals\n\nConnection count: %d\nQueue count: %d\nVirtual host count: %d\n",
		overview.Totals.Connections, overview.Totals.Queues, len(vhosts))
	fmt.Fprintf(c.out, "\nListeners\n\n")
	for _, l := range n.Listeners {
		fmt.Fprintf(c.out, "Interface: %s, port: %d, protocol: %s, purpose: %s\n", l.IPAddress, l.Port, l.Protocol, l.purpose())
	}
	return nil
}

func gb(n uint64) string { return strconv.FormatFloat(float64(n)/1e9, 'f', 4, 64) + " gb" }

func writeAlarms(c *call, list []alarm) {
	if len(list) == 0 {
		fmt.Fprintln(c.out, "(none)")
	}
	for _, a := range list {
		fmt.Fprintln(c.out, a)
	}
}

func clusterStatus(c *call, _ []string) error {
	s, err := control.Get(c.ctx, c.data)
	if err != nil {
		return err
	}
	var nodes []nodeJSON
	if err := c.node.Get(c.ctx, control.Path("nodes"), &nodes); err != nil {
		return err
	}
	if c.formatter == "json" {
		return clusterJSON(c, s, nodes)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	names := make(map[string]string)
	for _, n := range s.Nodes {
		names[n.ID] = n.Name
	}
	name := func(id string) string {
		if n := names[id]; n != "" {
			return n
		}
		return id
	}
	fmt.Fprintf(w, "cluster %s, level %d, meta leader %s\n\nNODE\tAMQP\tALIVE\tLEVEL\tZONE\tID\n", s.ClusterID, s.Level, name(s.Meta.Leader))
	for _, n := range s.Nodes {
		fmt.Fprintf(w, "%s\t%s\t%v\t%d\t%s\t%s\n", n.Name, n.AMQP, n.Alive, n.Level, n.Zone, n.ID)
	}
	fmt.Fprintln(w, "\nGROUP\tLEADER\tPREFERRED\tREPLICAS\tAPPLIED")
	for _, g := range s.Groups {
		replicas := make([]string, len(g.Replicas))
		for i, id := range g.Replicas {
			replicas[i] = name(id)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\n", g.ID, name(g.Leader), name(g.Preferred), strings.Join(replicas, " "), g.Applied)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "\nMaintenance status\n\n")
	for _, n := range s.Nodes {
		fmt.Fprintf(c.out, "Node: %s, status: %s\n", n.Name, maintenance(n))
	}
	fmt.Fprintf(c.out, "\nAlarms\n\n")
	writeAlarms(c, alarms(nodes))
	return nil
}

// clusterJSON has what Warren knows and what scripts ask RabbitMQ's for.
func clusterJSON(c *call, s *control.Status, nodes []nodeJSON) error {
	all := struct {
		*control.Status
		ClusterName  string                `json:"cluster_name"`
		DiskNodes    []string              `json:"disk_nodes"`
		RAMNodes     []string              `json:"ram_nodes"`
		RunningNodes []string              `json:"running_nodes"`
		Alarms       []alarm               `json:"alarms"`
		Partitions   map[string]any        `json:"partitions"`
		Listeners    map[string][]listener `json:"listeners"`
		Maintenance  map[string]string     `json:"maintenance_status"`
	}{
		Status: s, DiskNodes: []string{}, RAMNodes: []string{}, RunningNodes: []string{}, Alarms: alarms(nodes),
		Partitions: map[string]any{}, Listeners: map[string][]listener{}, Maintenance: map[string]string{},
	}
	for _, n := range s.Nodes {
		all.Maintenance[n.Name] = maintenance(n)
	}
	var overview struct {
		ClusterName string `json:"cluster_name"`
	}
	if err := c.node.Get(c.ctx, control.Path("overview"), &overview); err != nil {
		return err
	}
	all.ClusterName = overview.ClusterName
	for _, n := range nodes {
		all.DiskNodes = append(all.DiskNodes, n.Name)
		if n.Running {
			all.RunningNodes = append(all.RunningNodes, n.Name)
		}
		all.Listeners[n.Name] = n.Listeners
	}
	return json.NewEncoder(c.out).Encode(all)
}
