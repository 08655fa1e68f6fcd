package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/warrenmq/warren/cmd/control"
)

// listing is a command that lists.
type listing struct {
	use, short string
	banner     func(c *call) string
	path       func(c *call) []string // under /api
	columns    []string               // all there are
	defaults   []string               // without column arguments; nil: no such arguments
	from       map[string]string      // the API's names of columns that have another there
	shape      func(r row)            // what is left to do to a row
}

func fixed(text string) func(*call) string       { return func(*call) string { return text } }
func at(segments ...string) func(*call) []string { return func(*call) []string { return segments } }
func inVHost(segment string) func(*call) []string {
	return func(c *call) []string { return []string{segment, c.vhost} }
}

var queueColumns = strings.Fields(`name durable auto_delete arguments policy operator_policy effective_policy_definition pid owner_pid
	exclusive exclusive_consumer_pid exclusive_consumer_tag messages_ready messages_unacknowledged messages messages_ready_ram
	messages_unacknowledged_ram messages_ram messages_persistent message_bytes message_bytes_ready message_bytes_unacknowledged
	message_bytes_ram message_bytes_persistent head_message_timestamp disk_reads disk_writes consumers consumer_utilisation
	consumer_capacity memory state type leader members online`)

var consumerColumns = strings.Fields("queue_name channel_pid consumer_tag ack_required prefetch_count active activity_status arguments")

var connectionColumns = strings.Fields(`pid name port host peer_port peer_host ssl ssl_protocol ssl_key_exchange ssl_cipher ssl_hash
	peer_cert_subject peer_cert_issuer peer_cert_serial_number peer_cert_validity state channels protocol auth_mechanism user vhost
	container_id timeout frame_max channel_max client_properties recv_oct recv_cnt send_oct send_cnt send_pend connected_at node`)

func (t *tool) listings() {
	policyColumns := []string{"vhost", "name", "pattern", "apply-to", "definition", "priority"}
	definition := func(r row) { // a JSON text, as in rabbitmqctl
		if b, err := encode(r["definition"]); err == nil {
			r["definition"] = string(b)
		}
	}
	for _, l := range []listing{
		{
			use: "list_vhosts [<column> ...]", short: "Lists virtual hosts", banner: fixed("Listing vhosts ..."), path: at("vhosts"),
			columns:  strings.Fields("name description tags default_queue_type protected_from_deletion tracing cluster_state metadata"),
			defaults: []string{"name"},
		},
		{
			use: "list_users", short: "Lists user names and tags", banner: fixed("Listing users ..."), path: at("users"),
			columns: []string{"user", "tags"}, from: map[string]string{"user": "name"},
		},
		{
			use: "list_permissions [-p <vhost>]", short: "Lists user permissions in a virtual host",
			banner: func(c *call) string { return fmt.Sprintf("Listing permissions for vhost %q ...", c.vhost) },
			path:   func(c *call) []string { return []string{"vhosts", c.vhost, "permissions"} }, columns: []string{"user", "configure", "write", "read"},
		},
		{
			use: "list_topic_permissions [-p <vhost>]", short: "Lists topic permissions in a virtual host",
			banner: func(c *call) string { return fmt.Sprintf("Listing topic permissions for vhost %q ...", c.vhost) },
			path:   func(c *call) []string { return []string{"vhosts", c.vhost, "topic-permissions"} }, columns: []string{"user", "exchange", "write", "read"},
		},
		{
			use: "list_policies [-p <vhost>]", short: "Lists all policies in a virtual host",
			banner: func(c *call) string { return fmt.Sprintf("Listing policies for vhost %q ...", c.vhost) },
			path:   inVHost("policies"), columns: policyColumns, shape: definition,
		},
		{
			use: "list_operator_policies [-p <vhost>]", short: "Lists operator policy overrides for a virtual host",
			banner: func(c *call) string {
				return fmt.Sprintf("Listing operator policy overrides for vhost %q ...", c.vhost)
			},
			path: inVHost("operator-policies"), columns: policyColumns, shape: definition,
		},
		{
			use: "list_queues [-p <vhost>] [<column> ...]", short: "Lists queues and their properties",
			banner: func(c *call) string {
				return fmt.Sprintf("Timeout: %.1f seconds ...\nListing queues for vhost %s ...", c.timeout, c.vhost)
			},
			path: inVHost("queues"), columns: queueColumns, defaults: []string{"name", "messages"},
		},
		{
			use: "list_exchanges [-p <vhost>] [<column> ...]", short: "Lists exchanges",
			banner: func(c *call) string { return fmt.Sprintf("Listing exchanges for vhost %s ...", c.vhost) },
			path:   inVHost("exchanges"), columns: strings.Fields("name type durable auto_delete internal arguments policy"), defaults: []string{"name", "type"},
		},
		{
			use: "list_bindings [-p <vhost>] [<column> ...]", short: "Lists all bindings on a vhost",
			banner:   func(c *call) string { return fmt.Sprintf("Listing bindings for vhost %s...", c.vhost) },
			path:     inVHost("bindings"),
			columns:  strings.Fields("source_name source_kind destination_name destination_kind routing_key arguments"),
			defaults: strings.Fields("source_name source_kind destination_name destination_kind routing_key arguments"),
			from:     map[string]string{"source_name": "source", "destination_name": "destination", "destination_kind": "destination_type"},
			shape:    func(r row) { r["source_kind"] = "exchange" },
		},
		{
			use: "list_connections [<column> ...]", short: "Lists AMQP connections", banner: fixed("Listing connections ..."), path: at("connections"),
			columns: connectionColumns, defaults: []string{"user", "peer_host", "peer_port", "state"}, from: map[string]string{"pid": "name"},
		},
		{
			use: "list_consumers [-p <vhost>] [<column> ...]", short: "Lists all consumers for a vhost",
			banner: func(c *call) string { return fmt.Sprintf("Listing consumers in vhost %s ...", c.vhost) },
			path:   inVHost("consumers"), columns: consumerColumns,
			defaults: slices.DeleteFunc(slices.Clone(consumerColumns), func(column string) bool { return column == "activity_status" }),
			shape: func(r row) {
				r["queue_name"], r["channel_pid"] = nameIn(r["queue"]), nameIn(r["channel_details"])
			},
		},
	} {
		most := 0
		if l.defaults != nil {
			most = -1
		}
		cmd := t.add(l.use, l.short, 0, most, l.run)
		if strings.HasPrefix(l.use, "list_queues") {
			for _, ignored := range []string{"online", "offline", "local"} {
				cmd.Flags().Bool(ignored, false, "accepted for scripts; has no effect")
				_ = cmd.Flags().MarkHidden(ignored)
			}
		}
	}
}

// nameIn is the name that an object carries.
func nameIn(v any) any {
	m, _ := v.(map[string]any)
	return m["name"]
}

func (l listing) run(c *call, args []string) error {
	columns := l.columns
	if l.defaults != nil {
		columns = l.defaults
		if len(args) > 0 {
			columns = strings.FieldsFunc(strings.Join(args, " "), func(r rune) bool { return r == ' ' || r == ',' })
		}
	}
	for _, column := range columns {
		if !slices.Contains(l.columns, column) {
			return &failure{exitUsage, fmt.Sprintf("Info key `%s` is not supported", column)}
		}
	}
	c.banner("%s", l.banner(c))
	path := l.path(c)
	var found []map[string]any
	if err := c.node.Get(c.ctx, control.Path(path...), &found); err != nil {
		if isMissing(err) && slices.Contains(path, c.vhost) {
			return &failure{exitData, fmt.Sprintf("Virtual host '%s' does not exist", c.vhost)}
		}
		return err
	}
	rows := make([]row, len(found))
	for i, f := range found {
		rows[i] = row(f)
		for column, name := range l.from {
			f[column] = f[name]
		}
		if l.shape != nil {
			l.shape(f)
		}
	}
	return c.write(columns, rows)
}
