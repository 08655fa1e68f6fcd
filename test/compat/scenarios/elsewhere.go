package scenarios

// Elsewhere is what shows a row beside or instead of scenarios, where a broker
// has to be stopped, cut off or looked into: folder and test, or a proof.
func Elsewhere() map[string][]string {
	return map[string][]string{
		"A6":  {"broker/connection TestA6CloseTimeout"},
		"B13": {"broker/auth TestAuthenticate", "cmd/warren TestOnlyNoneLiftsTheLoopbackRestriction"},
		"B16": {"broker/connection TestB16Admission"},
		"B17": {"broker/connection TestB17UserAndNodeLimits"},
		"B18": {"broker/connection TestB18Blocked"},
		"B20": {"broker/connection TestB20Shutdown"},
		"B22": {"broker/connection TestB22TLS", "broker/connection TestB22ClientCertificates"},
		"D8":  {"cluster/meta TestVolatileExchangesSurviveARollingRestart", "cluster/meta TestVolatileExchangesGoWithTheCluster"},
		"D28": {"broker/topology TestClusterLimits", "cmd/warrenctl TestLimitsOfTheCluster"},
		"E11": {"test/proof failover", "test/sim TestMinority"},
		"E36": {"broker/topology TestClusterLimits", "cmd/warrenctl TestLimitsOfTheCluster"},
		"E37": {"test/proof minority", "cluster/meta TestMinorityFailsInTime"},
		"G15": {"cluster/edge TestPublishBlocksAtTheBound", "broker/connection TestG15PublisherThatNeverWaits"},
		"H3":  {"broker/connection TestH3ConsumersOfAChannel"},
		"H11": {"broker/connection TestH11ConsumerTimeout", "broker/connection TestH11PrecedenceAndChannelClose"},
		"H15": {"broker/connection TestH15ConsumersThatNeverAcknowledge"},
		"H21": {"broker/management TestConsumers", "cmd/warrenctl TestConsumersOfAllNodes"},
		"H23": {"broker/leader TestEdgeThatStaysAwayIsReleased", "cluster/edge TestConsumersResumeAtTheNextLeader"},
		"I2":  {"cluster/log TestAcknowledgedSurvivesCrashes", "cluster/group TestConfirmedSurvivesEveryLeadersDeath", "test/proof restart"},
		"I3":  {"test/proof minority"},
		"J9":  {"cluster/group TestDeadLettersSurviveTheDeathOfAll", "test/compat TestDeadLettersAreNotLost"},
		"K9":  {"broker/topology TestClusterLimits", "cmd/warrenctl TestLimitsOfTheCluster"},
		"L2":  {"cluster/edge TestPublishBlocksAtTheBound", "broker/connection TestUnreadAnswersAreBounded"},
		"L4":  {"cluster/edge TestPublishBlocksAtTheBound", "cluster/log TestCacheStaysInItsBudget"},
		"L6":  {"test/proof minority", "test/sim TestMinority"},
		"O1":  {"test/compat TestBroker"},
		"O3":  {"cluster/group TestConfirmedSurvivesEveryLeadersDeath"},
		"O4":  {"cluster/group TestLeadershipDriftsToThePreferredNode"},
		"O5":  {"cluster/meta TestDeadVoterIsReplaced", "cluster/group TestReplicasMoveOneStepAtATime"},
		"O9":  {"cluster/meta TestMinorityFailsInTime"},
		"O11": {"test/proof restart", "test/sim TestAllStopAndStartInAnyOrder"},
		"O16": {"cluster/security TestAClientWithoutCertificateOrOfTLS12IsRefused", "test/proof stranger"},
		"Q7":  {"test/proof minority", "cluster/meta TestMinorityFailsInTime"},
	}
}
