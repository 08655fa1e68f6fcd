# frozen_string_literal: true

# ruby-bunny.
# usage: bunny.rb PHASE ADDR...
require "bunny"
require "securerandom"
require "timeout"

$stdout.sync = true
PHASE = ARGV[0]
ADDRS = ARGV[1..]
CASES = { "features" => [], "blocked" => [], "recovery" => [] }.freeze
SILENT = Logger.new(IO::NULL)

def connect(i, more = {})
  Bunny.new({ addresses: [ADDRS[i % ADDRS.size]], automatically_recover: false, logger: SILENT, network_recovery_interval: 0.1 }.merge(more)).start
end

def unique(what)
  "#{what}-#{SecureRandom.hex(4)}"
end

def same(what, got, want)
  raise "#{what}: got #{got.inspect}, want #{want.inspect}" unless got == want
end

# Asks again until it is so.
def wait_for(what, seconds = 10)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
  until yield
    raise "never so: #{what}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    Thread.pass
    sleep 0.01
  end
end

# A case with openers of channels on connections of their own, through two nodes.
def feature(name)
  CASES["features"] << [name, lambda {
    opened = []
    opener = ->(i) { -> { (opened << connect(i)).last.create_channel } }
    begin
      yield opener[0], opener[1]
    ensure
      opened.each { |c| c.close if c.open? }
    end
  }]
end

def refused(kind, text)
  yield
rescue kind => e
  told = e.respond_to?(:channel_close) ? e.channel_close.reply_text : e.message
  same("refusal", told, text)
else
  raise "not refused, want #{text}"
end

def arrived(channel, queue, count)
  wait_for("#{count} messages in #{queue}") { channel.queue_declare(queue, passive: true).message_count == count }
end

def send_confirmed(channel, exchange, key, *bodies, **options)
  channel.confirm_select
  bodies.each { |b| channel.basic_publish(b, exchange, key, { persistent: true }.merge(options)) }
  raise "not confirmed" unless channel.wait_for_confirms
end

feature("channel_errors") do |here, there|
  refused(Bunny::NotFound, "NOT_FOUND - no queue 'nope' in vhost '/'") { here.call.queue_declare("nope", passive: true) }
  refused(Bunny::AccessRefused, "ACCESS_REFUSED - queue name 'amq.nope' contains reserved prefix 'amq.*'") { here.call.queue_declare("amq.nope") }
  q = unique("held")
  here.call.queue_declare(q, durable: true)
  refused(Bunny::PreconditionFailed, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '#{q}' in vhost '/': received 'false' but current is 'true'") do
    there.call.queue_declare(q, durable: false)
  end
  here.call.queue_delete(q)
  closed = nil
  ch = there.call
  ch.on_error { |_, close| closed = [close.reply_code, close.reply_text] }
  ch.basic_ack(99)
  wait_for("the channel's end") { closed }
  same("refusal", closed, [406, "PRECONDITION_FAILED - unknown delivery tag 99"]) # bunny looks for these words
  same("connection", ch.connection.open?, true)
end

feature("connection_errors") do |_, _|
  begin
    connect(0, password: "wrong")
    raise "logged in with a wrong password"
  rescue Bunny::AuthenticationFailureError
    nil # told by the text of connection.close
  end
  begin
    connect(1, vhost: "nope")
    raise "opened a virtual host that is not there"
  rescue Bunny::NotAllowedError, Bunny::TCPConnectionFailedForAllHosts
    nil
  end
end

feature("exchange_types_and_bindings") do |here, there|
  ch = here.call
  out = there.call
  { "direct" => [{ routing_key: "k" }, "k", {}], "fanout" => [{}, "any", {}], "topic" => [{ routing_key: "*.b.#" }, "a.b", {}],
    "headers" => [{ arguments: { "x-match" => "all", "n" => 1 } }, "", { headers: { "n" => 1 } }] }.each do |kind, (binding, key, options)|
    lost = ch.fanout(unique("lost"), auto_delete: false)
    x = ch.exchange(unique(kind), type: kind, durable: true, arguments: { "alternate-exchange" => lost.name })
    second = ch.fanout(unique("second"))
    q = ch.queue("", exclusive: true)
    rest = ch.queue("", exclusive: true).bind(lost)
    q.bind(x, binding)
    send_confirmed(out, x.name, key, "in", **options)
    same(kind, q.pop[2], "in")
    q.unbind(x, binding)
    send_confirmed(out, x.name, key, "out", **options)
    same("#{kind}, unbound", [q.pop[2], rest.pop[2]], [nil, "out"])
    second.bind(x, binding)
    q.bind(second)
    send_confirmed(out, x.name, key, "over", **options)
    same("#{kind}, over an exchange", q.pop[2], "over")
    second.unbind(x, binding)
    [x, second, lost].each(&:delete)
  end
end

feature("confirms_and_returns") do |here, there|
  ch = here.call
  q = unique("confirms")
  ch.queue_declare(q, durable: true)
  acked = Queue.new
  ch.confirm_select(->(tag, multiple, nack) { acked << [tag, multiple, nack] })
  200.times { |i| ch.basic_publish(i.to_s, "", q, persistent: true) }
  same("confirmed", ch.wait_for_confirms, true)
  same("nacked", ch.nacked_set.size, 0)
  same("in the queue", there.call.queue_purge(q).message_count, 200)
  back = Queue.new
  x = ch.direct("amq.direct")
  x.on_return { |info, properties, body| back << [info.reply_code, info.reply_text, properties.message_id, body] }
  x.publish("lost", routing_key: unique("nowhere"), mandatory: true, message_id: "7")
  same("confirmed", ch.wait_for_confirms, true)
  same("returned", Timeout.timeout(10) { back.pop }, [312, "NO_ROUTE", "7", "lost"])
  ch.queue_delete(q)
end

feature("rejected_publish_is_nacked") do |here, _|
  ch = here.call
  q = unique("full")
  ch.queue_declare(q, durable: true, arguments: { "x-max-length" => 1, "x-overflow" => "reject-publish" })
  send_confirmed(ch, "", q, "one")
  ch.basic_publish("two", "", q, persistent: true)
  same("confirmed", ch.wait_for_confirms, false)
  same("nacked", ch.nacked_set.to_a, [2])
  ch.queue_delete(q)
end

feature("consume_settle_cancel") do |here, there|
  ch = here.call
  q = ch.queue(unique("consume"), durable: true)
  send_confirmed(there.call, "", q.name, *%w[a b c d])
  ch.prefetch(2)
  got = Queue.new
  consumer = q.subscribe(manual_ack: true) { |info, _, body| got << [info, body] }
  take = -> { Timeout.timeout(10) { got.pop } }
  first = take.call
  second = take.call
  same("first two", [first, second].map { |i, b| [b, i.redelivered?] }, [["a", false], ["b", false]])
  arrived(there.call, q.name, 2)
  ch.ack(second[0].delivery_tag, true)
  third = take.call
  fourth = take.call
  ch.reject(third[0].delivery_tag, false)
  ch.nack(fourth[0].delivery_tag, false, true)
  again = take.call
  same("again", [again[1], again[0].redelivered?], ["d", true])
  same("cancelled", consumer.cancel.is_a?(AMQ::Protocol::Basic::CancelOk), true)
  ch.basic_recover(true)
  arrived(there.call, q.name, 1)
  cancelled = Queue.new
  notified = Bunny::Consumer.new(ch, q, "mine")
  notified.on_delivery { |*| nil }
  notified.on_cancellation { |method| cancelled << method.consumer_tag }
  q.subscribe_with(notified)
  there.call.queue_delete(q.name)
  same("cancelled by the broker", Timeout.timeout(10) { cancelled.pop }, "mine")
end

feature("prefetch_of_the_channel") do |here, there|
  ch = here.call
  q = ch.queue(unique("global"), durable: true)
  send_confirmed(there.call, "", q.name, *("a".."f"))
  got = Queue.new
  ch.basic_qos(3, true)
  2.times { q.subscribe(manual_ack: true) { |info, _, _| got << info.delivery_tag } }
  wait_for("three") { got.size == 3 }
  arrived(there.call, q.name, 3)
  same("deliveries", got.size, 3)
  there.call.queue_delete(q.name)
end

feature("consumer_priorities_and_exclusive_consumers") do |here, there|
  ch = here.call
  q = ch.queue(unique("ranks"), durable: true)
  got = Queue.new
  [["low", 1], ["high", 5]].each do |rank, priority|
    q.subscribe(arguments: { "x-priority" => priority }) { |*, body| got << [rank, body] }
  end
  send_confirmed(there.call, "", q.name, "a", "b")
  same("served", Array.new(2) { Timeout.timeout(10) { got.pop } }, [%w[high a], %w[high b]])
  ch.queue_delete(q.name)
  q = unique("alone")
  ch = here.call
  ch.queue(q, durable: true).subscribe(exclusive: true) { |*| nil }
  refused(Bunny::AccessRefused, "ACCESS_REFUSED - queue '#{q}' in vhost '/' in exclusive use") { there.call.basic_consume(q) }
  ch.queue_delete(q)
end

feature("single_active_consumer") do |here, there|
  first = here.call
  second = there.call
  name = unique("single")
  options = { durable: true, arguments: { "x-single-active-consumer" => true } }
  got = Queue.new
  first.queue(name, options).subscribe { |*, body| got << ["first", body] }
  second.queue(name, options).subscribe { |*, body| got << ["second", body] }
  out = here.call
  send_confirmed(out, "", name, "a", "b")
  same("active", Array.new(2) { Timeout.timeout(10) { got.pop } }, [%w[first a], %w[first b]])
  first.connection.close
  send_confirmed(out, "", name, "c")
  same("next", Timeout.timeout(10) { got.pop }, %w[second c])
  out.queue_delete(name)
end

feature("headers_of_all_types") do |here, there|
  headers = {
    "int" => -7, "long" => 1 << 40, "negative" => -(1 << 62), "true" => true, "false" => false, "nil" => nil, "text" => "grüße".b, "empty" => "",
    "float" => 0.5, "time" => Time.at(1_700_000_000), "list" => [1, "two", [nil, { "x" => false }]], "table" => { "deep" => { "er" => [true, -1] } }
  }
  options = { content_type: "c", content_encoding: "e", headers: headers, priority: 3, correlation_id: "i", reply_to: "r", expiration: "99999",
              message_id: "m", timestamp: 1_700_000_000, type: "t", user_id: "guest", app_id: "a", cluster_id: "k" }
  ch = here.call
  q = unique("types")
  ch.queue_declare(q, durable: true)
  send_confirmed(there.call, "", q, "\x00\xFF".b, **options)
  _, properties, body = ch.basic_get(q, manual_ack: false)
  same("body", body.b, "\x00\xFF".b)
  same("headers", properties[:headers], headers)
  want = options.merge(timestamp: Time.at(1_700_000_000), delivery_mode: 2)
  want.delete(:cluster_id) unless properties.to_h.key?(:cluster_id) # bunny does not write it
  same("properties", properties.to_h, want)
  ch.queue_delete(q)
end

feature("priorities_ttl_and_dead_letters") do |here, there|
  ch = here.call
  dead = ch.queue(unique("dead"), durable: true)
  q = ch.queue(unique("mortal"), durable: true, arguments: {
                 "x-max-priority" => 9, "x-dead-letter-exchange" => "", "x-dead-letter-routing-key" => dead.name, "x-max-length" => 3
               })
  out = there.call
  [["a", 1], ["b", 9], ["c", 5]].each { |body, priority| send_confirmed(out, "", q.name, body, priority: priority) }
  same("order", Array.new(3) { q.pop[2] }, %w[b c a])
  send_confirmed(out, "", q.name, "short", expiration: "20")
  arrived(out, dead.name, 1)
  _, properties, body = dead.pop
  death = properties[:headers]["x-death"][0]
  at = death.delete("time")
  same("dead", body, "short")
  same("x-death", death, { "count" => 1, "reason" => "expired", "queue" => q.name, "exchange" => "", "routing-keys" => [q.name], "original-expiration" => "20" })
  raise "time of death #{at}" unless (Time.now - at).abs < 120
  same("expiration", properties[:expiration], nil)
  send_confirmed(out, "", q.name, *%w[1 2 3 4])
  arrived(out, dead.name, 1)
  _, properties, body = dead.pop
  same("over the limit", [body, properties[:headers]["x-first-death-reason"]], %w[1 maxlen])
  info, = q.pop(manual_ack: true)
  ch.reject(info.delivery_tag, false)
  arrived(out, dead.name, 1)
  same("rejected", dead.pop[1][:headers]["x-death"][0]["reason"], "rejected")
  [q, dead].each(&:delete)
end

feature("transactions") do |here, there|
  ch = here.call
  q = ch.queue(unique("tx"), durable: true)
  ch.tx_select
  q.publish("no")
  ch.tx_rollback
  q.publish("yes")
  ch.tx_commit
  arrived(there.call, q.name, 1)
  same("kept", there.call.basic_get(q.name, manual_ack: false)[2], "yes")
  q.delete
end

feature("direct_reply_to") do |here, there|
  server = here.call
  client = there.call
  q = server.queue("", exclusive: true)
  q.subscribe { |_, properties, body| server.basic_publish("re: #{body}", "", properties.reply_to, correlation_id: properties.correlation_id) }
  replies = Queue.new
  client.basic_consume("amq.rabbitmq.reply-to", "", true) { |_, properties, body| replies << [properties.correlation_id, body] }
  client.basic_publish("question", "", q.name, reply_to: "amq.rabbitmq.reply-to", correlation_id: "42")
  same("reply", Timeout.timeout(10) { replies.pop }, ["42", "re: question"])
end

feature("sender_selected_distribution") do |here, there|
  ch = here.call
  a, b, c = Array.new(3) { ch.queue("", exclusive: true) }
  send_confirmed(there.call, "", a.name, "x", headers: { "CC" => [b.name], "BCC" => [c.name] })
  same("headers", [a, b, c].map { |q| q.pop[1][:headers] }, [{ "CC" => [b.name] }] * 3)
end

feature("heartbeats") do |_, _|
  c = connect(0, heartbeat: 1)
  sleep 3.5 # an idle time is what this is about
  c.create_channel.queue("", exclusive: true)
  same("open", c.open?, true)
  c.close
end

feature("large_messages") do |here, there|
  ch = here.call
  q = ch.queue(unique("large"), durable: true)
  body = Random.bytes(8 << 20)
  send_confirmed(there.call, "", q.name, body)
  raise "the body has changed" unless q.pop[2].b == body
  q.delete
end

feature("update_secret") do |here, _|
  ch = here.call
  ch.connection.update_secret("guest", "rotation")
  ch.queue("", exclusive: true)
end

CASES["blocked"] << ["connection_blocked", lambda {
  c = connect(1)
  told = Queue.new
  c.on_blocked { |method| told << method.reason }
  c.on_unblocked { |_| told << nil }
  ch = c.create_channel
  q = ch.queue(unique("blocked"), durable: true)
  send_confirmed(ch, "", q.name, "before")
  puts "at publishing"
  trying = c.create_channel
  wait_for("blocked", 30) { trying.basic_publish("x", "", q.name) && !told.empty? }
  reason = told.pop
  raise "reason #{reason}" unless ["low on memory", "low on disk", "low on disk & memory"].include?(reason)
  same("blocked", c.blocked?, true)
  puts "at blocked"
  same("unblocked", Timeout.timeout(30) { told.pop }, nil)
  send_confirmed(ch, "", q.name, "after")
  raise "messages are missing" if q.delete.message_count < 2
  c.close
}]

# automatically_recover with an address list: channel, prefetch, confirm mode, queue, binding and consumer are bunny's to restore.
CASES["recovery"] << ["recovers_when_its_node_is_killed", lambda {
  recovered = Queue.new
  c = connect(0, addresses: ADDRS, hosts_shuffle_strategy: ->(hosts) { hosts }, automatically_recover: true, recovery_completed: -> { recovered << true })
  ch = c.create_channel
  ch.prefetch(20)
  ch.confirm_select
  x = ch.topic(unique("recovery"), durable: true)
  q = ch.queue(unique("recovery"), durable: true, arguments: { "x-queue-type" => "quorum" }).bind(x, routing_key: "go.#")
  got = {}
  q.subscribe(manual_ack: true) do |info, _, body|
    got[body.to_i] = true
    ch.ack(info.delivery_tag)
  end
  confirmed = []
  n = 0
  lost = false
  deadline = Time.now + 60
  until lost && confirmed.size >= 300
    raise "after a minute: #{n} sent, #{confirmed.size} confirmed, recovered: #{lost}" if Time.now > deadline
    begin
      n += 1
      x.publish(n.to_s, routing_key: "go.on", persistent: true)
      confirmed << n if Timeout.timeout(5) { ch.wait_for_confirms }
      puts "at running" if n == 50
    rescue Bunny::Exception, Timeout::Error, IOError, SystemCallError
      wait_for("recovery", 30) { !recovered.empty? || (ch.open? && c.open?) }
    end
    lost ||= !recovered.empty?
    sleep 0.005 unless lost # the pace of the publisher
  end
  wait_for("all have arrived: #{(confirmed - got.keys).first(5)}", 30) { (confirmed - got.keys).empty? }
  q.delete
  x.delete
  c.close
}]

failed = false
CASES.fetch(PHASE).each do |name, run|
  Timeout.timeout(90) { run.call }
  puts "ok #{name}"
rescue StandardError => e
  failed = true
  puts "FAIL #{name}: #{e.class}: #{e.message.tr("\n", ' ')} (#{e.backtrace.find { |l| l.include?('bunny.rb:') }.to_s[/\d+/]})"
end
exit!(failed ? 1 : 0)
