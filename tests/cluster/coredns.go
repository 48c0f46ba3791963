package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	// Only what the cluster's Corefile names: CoreDNS's full list of plugins
	// would bring the client libraries of several clouds into the build.
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

// runCoreDNS serves DNS. A query passes the plugins in the order of
// dnsserver.Directives, which CoreDNS normally generates at build time; a
// directive without its plugin linked in is an error only if a Corefile uses
// it, but the list is cut to match so that the error names what is there.
func runCoreDNS() int {
	dnsserver.Directives = []string{"bind", "ready", "errors", "template", "cache", "kubernetes"}
	coremain.Run()
	return 0
}
