// Command kube is every control-plane and node program, kubectl, cluster DNS and helm in one binary.
// The program is chosen by the name of the link it is called by, or by the first argument.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	helmcmd "helm.sh/helm/v4/pkg/cmd"
	helmkube "helm.sh/helm/v4/pkg/kube"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// corednsFlags are the flags coremain and dnsserver put on the process-wide set at start-up; no other program may see them.
var corednsFlags = map[string]bool{"conf": true, "plugins": true, "pidfile": true, "version": true, "quiet": true, "p": true, "dns.port": true}

func hideCoreDNSFlags() {
	kept := flag.NewFlagSet(os.Args[0], flag.ExitOnError)
	flag.VisitAll(func(f *flag.Flag) {
		if !corednsFlags[f.Name] {
			kept.Var(f.Value, f.Name, f.Usage)
		}
	})
	flag.CommandLine = kept
}

func helm() int {
	helmkube.ManagedFieldsManager = "helm"
	cmd, err := helmcmd.NewRootCmd(os.Stdout, os.Args[1:], helmcmd.SetupLogging)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := cmd.Execute(); err != nil {
		if coded, ok := err.(helmcmd.CommandError); ok {
			return coded.ExitCode
		}
		return 1
	}
	return 0
}

var programs = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl", "coredns", "helm"}

// chosen is the program's name: that of the link it was called by, else its first argument, which is taken out of os.Args.
func chosen() string {
	if called := filepath.Base(os.Args[0]); slices.Contains(programs, called) {
		return called
	}
	if len(os.Args) < 2 || !slices.Contains(programs, os.Args[1]) {
		fmt.Fprintln(os.Stderr, "usage: kube PROGRAM ..., where PROGRAM is one of", programs)
		os.Exit(2)
	}
	os.Args = os.Args[1:]
	return os.Args[0]
}

func main() {
	name := chosen()
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
		return
	case "coredns":
		// Exactly the plugins imported above: the default list names ones that are not in this binary.
		dnsserver.Directives = []string{"bind", "ready", "health", "prometheus", "errors", "cache", "template", "kubernetes", "forward"}
		coremain.Run()
		return
	}
	hideCoreDNSFlags()
	if name == "helm" {
		os.Exit(helm())
	}
	commands := map[string]func() *cobra.Command{
		"kube-apiserver":          apiserver.NewAPIServerCommand,
		"kube-controller-manager": controllermanager.NewControllerManagerCommand,
		"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
		"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
		"kube-proxy":              proxy.NewProxyCommand,
		"kubectl":                 kubectl.NewDefaultKubectlCommand,
	}
	os.Exit(cli.Run(commands[name]()))
}
