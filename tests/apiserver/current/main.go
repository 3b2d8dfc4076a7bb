// An API server of the current Kubernetes for the tests, made of the libraries that kube-apiserver is made of.
//
// Real are: HTTP, TLS and client certificates, discovery, lists with pages, watches and their cache, streaming lists,
// 429 while the cache is filled, patches and server-side apply, storage in etcd as protobuf, and all of
// CustomResourceDefinitions.
//
// Missing are: what k8s.io/kubernetes itself adds, which Debian does not package: validation, defaults and controllers
// of the built-in kinds, admission, priority and fairness, tokens of service accounts, allocation of cluster IPs.
// registry.go, accounts.go and rbac.go replace the little of it that the tests need.
//
// It takes the options of kube-apiserver that tests/apiserver/control_plane.py gives, and ignores those that concern
// what is missing.
package main

import (
	"context"
	"net"
	"os"

	"github.com/spf13/cobra"
	noopoteltrace "go.opentelemetry.io/otel/trace/noop"
	extensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	extensionsoptions "k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	extensionsopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	requestunion "k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/union"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/util/openapi"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kube-openapi/pkg/common"

	builtin "kgctl.test/apiserver/openapi"
)

var ignored = []string{
	"service-account-key-file", "service-account-signing-key-file", "service-account-issuer",
	"authorization-mode", "disable-admission-plugins", "endpoint-reconciler-type",
}

type settings struct {
	*extensionsoptions.CustomResourceDefinitionsServerOptions
	clientCA, tokens, clusterIPs string
}

func main() {
	s := &settings{
		CustomResourceDefinitionsServerOptions: extensionsoptions.NewCustomResourceDefinitionsServerOptions(os.Stdout, os.Stderr),
	}
	s.RecommendedOptions.Etcd.StorageConfig.Prefix = "/registry"
	command := &cobra.Command{
		SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return s.ServerRunOptions.ComponentGlobalsRegistry.Set()
		},
		RunE: func(c *cobra.Command, _ []string) error { return s.run(c.Context()) },
	}
	flags := command.Flags()
	s.ServerRunOptions.AddUniversalFlags(flags)
	s.RecommendedOptions.Etcd.AddFlags(flags)
	s.RecommendedOptions.SecureServing.AddFlags(flags)
	flags.StringVar(&s.clientCA, "client-ca-file", "", "the authority of client certificates")
	flags.StringVar(&s.tokens, "token-auth-file", "", "the tokens of users")
	flags.StringVar(&s.clusterIPs, "service-cluster-ip-range", "10.43.0.0/16", "the addresses of Services, IPv4")
	for _, name := range ignored {
		flags.String(name, "", "ignored")
	}
	command.SetContext(genericapiserver.SetupSignalContext())
	if err := command.Execute(); err != nil {
		os.Exit(1)
	}
}

func (s *settings) run(ctx context.Context) error {
	_, clusterIPs, err := net.ParseCIDR(s.clusterIPs)
	if err != nil {
		return err
	}
	if err := s.ServerRunOptions.Complete(); err != nil {
		return err
	}
	config, roles, err := s.config()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config.LoopbackClientConfig)
	if err != nil {
		return err
	}
	config.ClientConfig = config.LoopbackClientConfig
	config.SharedInformerFactory = informers.NewSharedInformerFactory(client, 0)
	completed := (&extensions.Config{
		GenericConfig: config,
		ExtraConfig: extensions.ExtraConfig{
			CRDRESTOptionsGetter: extensionsoptions.NewCRDRESTOptionsGetter(
				*s.RecommendedOptions.Etcd, config.ResourceTransformers, config.StorageObjectCountTracker),
			AuthResolverWrapper: webhook.NewDefaultAuthenticationInfoResolverWrapper(
				nil, nil, config.LoopbackClientConfig, noopoteltrace.NewTracerProvider()),
			MasterCount: 1,
		},
	}).Complete()
	// behind an aggregator the extensions leave /apis to it; there is none here
	completed.GenericConfig.EnableDiscovery = true
	server, err := completed.New(genericapiserver.NewEmptyDelegate())
	if err != nil {
		return err
	}
	if err := install(server.GenericAPIServer, *s.RecommendedOptions.Etcd, config, roles, clusterIPs); err != nil {
		return err
	}
	seeding := func(hook genericapiserver.PostStartHookContext) error { return seed(hook.Context, client, clusterIPs) }
	if err := server.GenericAPIServer.AddPostStartHook("first-objects", seeding); err != nil {
		return err
	}
	return server.GenericAPIServer.PrepareRun().RunWithContext(ctx)
}

// config is everything that does not depend on the kinds that are served.
func (s *settings) config() (*genericapiserver.RecommendedConfig, *roles, error) {
	config := genericapiserver.NewRecommendedConfig(extensions.Codecs)
	if err := s.ServerRunOptions.ApplyTo(&config.Config); err != nil {
		return nil, nil, err
	}
	if err := s.RecommendedOptions.Etcd.ApplyTo(&config.Config); err != nil {
		return nil, nil, err
	}
	if err := s.RecommendedOptions.SecureServing.ApplyToConfig(&config.Config); err != nil {
		return nil, nil, err
	}
	if err := s.APIEnablement.ApplyTo(&config.Config, extensions.DefaultAPIResourceConfigSource(), extensions.Scheme); err != nil {
		return nil, nil, err
	}
	authorities, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca", s.clientCA)
	if err != nil {
		return nil, nil, err
	}
	if err := config.Authentication.ApplyClientCert(authorities, config.SecureServing); err != nil {
		return nil, nil, err
	}
	tokens, err := tokenfile.NewCSV(s.tokens)
	if err != nil {
		return nil, nil, err
	}
	config.Authentication.Authenticator = requestunion.NewFailOnError(
		group.NewAuthenticatedGroupAdder(requestunion.NewFailOnError(
			x509.NewDynamic(authorities.VerifyOptions, x509.CommonNameUserConversion),
			bearertoken.New(tokenunion.New(tokens, accounts)),
		)),
		anonymous.NewAuthenticator(nil),
	)
	granted := &roles{}
	config.Authorization.Authorizer = union.New(authorizerfactory.NewPrivilegedGroups("system:masters"), granted)
	config.RuleResolver = granted

	all := openapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(definitions)
	namer := openapinamer.NewDefinitionNamer(extensions.Scheme, scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(all, namer)
	config.OpenAPIConfig.Info.Title = "Kubernetes"
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(all, namer)
	config.OpenAPIV3Config.Info.Title = "Kubernetes"
	return config, granted, nil
}

func definitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all := extensionsopenapi.GetOpenAPIDefinitions(ref)
	for name, one := range builtin.GetOpenAPIDefinitions(ref) {
		all[name] = one
	}
	return all
}
