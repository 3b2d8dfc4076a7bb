// The built-in kinds that are served, stored as they are sent.
package main

import (
	"context"
	"fmt"
	"math/rand"
	"net"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/client-go/kubernetes"
)

var (
	scheme = runtime.NewScheme()
	codecs serializer.CodecFactory
)

type kind struct {
	group            string
	plural, singular string
	namespaced       bool
	one, list        runtime.Object
	short            []string
}

var kinds = []kind{
	{"", "nodes", "node", false, &corev1.Node{}, &corev1.NodeList{}, []string{"no"}},
	{"", "namespaces", "namespace", false, &corev1.Namespace{}, &corev1.NamespaceList{}, []string{"ns"}},
	{"", "services", "service", true, &corev1.Service{}, &corev1.ServiceList{}, []string{"svc"}},
	{"", "endpoints", "endpoints", true, &corev1.Endpoints{}, &corev1.EndpointsList{}, []string{"ep"}},
	{"", "pods", "pod", true, &corev1.Pod{}, &corev1.PodList{}, []string{"po"}},
	{"", "secrets", "secret", true, &corev1.Secret{}, &corev1.SecretList{}, nil},
	{"", "configmaps", "configmap", true, &corev1.ConfigMap{}, &corev1.ConfigMapList{}, []string{"cm"}},
	{"", "serviceaccounts", "serviceaccount", true, &corev1.ServiceAccount{}, &corev1.ServiceAccountList{}, []string{"sa"}},
	{"apps", "deployments", "deployment", true, &appsv1.Deployment{}, &appsv1.DeploymentList{}, []string{"deploy"}},
	{"apps", "daemonsets", "daemonset", true, &appsv1.DaemonSet{}, &appsv1.DaemonSetList{}, []string{"ds"}},
	{"coordination.k8s.io", "leases", "lease", true, &coordinationv1.Lease{}, &coordinationv1.LeaseList{}, nil},
	{"discovery.k8s.io", "endpointslices", "endpointslice", true, &discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{}, nil},
	{"networking.k8s.io", "servicecidrs", "servicecidr", false, &networkingv1.ServiceCIDR{}, &networkingv1.ServiceCIDRList{}, nil},
	{"rbac.authorization.k8s.io", "clusterroles", "clusterrole", false, &rbacv1.ClusterRole{}, &rbacv1.ClusterRoleList{}, nil},
	{"rbac.authorization.k8s.io", "clusterrolebindings", "clusterrolebinding", false, &rbacv1.ClusterRoleBinding{}, &rbacv1.ClusterRoleBindingList{}, nil},
	{"rbac.authorization.k8s.io", "roles", "role", true, &rbacv1.Role{}, &rbacv1.RoleList{}, nil},
	{"rbac.authorization.k8s.io", "rolebindings", "rolebinding", true, &rbacv1.RoleBinding{}, &rbacv1.RoleBindingList{}, nil},
}

// init registers each type as its own internal version, too: the generic registry converts to that, and the internal
// types of the real server are part of k8s.io/kubernetes.
func init() {
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, authenticationv1.AddToScheme, authorizationv1.AddToScheme,
		coordinationv1.AddToScheme, discoveryv1.AddToScheme, networkingv1.AddToScheme, rbacv1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	for _, gv := range scheme.PrioritizedVersionsAllGroups() {
		internal := schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal}
		for name, t := range scheme.KnownTypes(gv) {
			if t.PkgPath() == "k8s.io/apimachinery/pkg/apis/meta/v1" {
				continue
			}
			scheme.AddKnownTypeWithName(internal.WithKind(name), reflect.New(t).Interface().(runtime.Object))
		}
	}
	codecs = serializer.NewCodecFactory(scheme)
}

// strategy validates next to nothing, and sets the defaults that kgctl relies on.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	kind   kind
	status bool
	ranges *net.IPNet
}

func (s strategy) NamespaceScoped() bool { return s.kind.namespaced }
func (s strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	switch o := obj.(type) {
	case *corev1.Namespace:
		o.Status.Phase = corev1.NamespaceActive
	case *corev1.Service:
		for i := range o.Spec.Ports {
			if o.Spec.Ports[i].Protocol == "" {
				o.Spec.Ports[i].Protocol = corev1.ProtocolTCP
			}
			if o.Spec.Ports[i].TargetPort.IntVal == 0 && o.Spec.Ports[i].TargetPort.StrVal == "" {
				o.Spec.Ports[i].TargetPort.IntVal = o.Spec.Ports[i].Port
			}
		}
		if o.Spec.Type == "" {
			o.Spec.Type = corev1.ServiceTypeClusterIP
		}
		if o.Spec.SessionAffinity == "" {
			o.Spec.SessionAffinity = corev1.ServiceAffinityNone
		}
		if o.Spec.Type != corev1.ServiceTypeExternalName && o.Spec.ClusterIP == "" {
			ip := append(net.IP{}, s.ranges.IP.To4()...)
			ip[2], ip[3] = byte(rand.Intn(256)), byte(1+rand.Intn(254))
			o.Spec.ClusterIP = ip.String()
		}
		if o.Spec.ClusterIP != "" {
			o.Spec.ClusterIPs = []string{o.Spec.ClusterIP}
			o.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
			single := corev1.IPFamilyPolicySingleStack
			o.Spec.IPFamilyPolicy = &single
		}
	}
}
func (strategy) Validate(context.Context, runtime.Object) field.ErrorList  { return nil }
func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}
func (strategy) Canonicalize(runtime.Object)    {}
func (strategy) AllowCreateOnUpdate() bool      { return false }
func (strategy) AllowUnconditionalUpdate() bool { return true }
func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	if n, ok := obj.(*corev1.Node); ok {
		before := old.(*corev1.Node).Spec.PodCIDR
		if before != "" && n.Spec.PodCIDR != before {
			return field.ErrorList{field.Forbidden(field.NewPath("spec", "podCIDR"), "may be set once")}
		}
	}
	return nil
}
func (s strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	n, ok := obj.(*corev1.Node)
	if !ok {
		return
	}
	before := old.(*corev1.Node)
	if s.status {
		n.Spec = before.Spec
	} else {
		n.Status = before.Status
	}
}

type store struct {
	*registry.Store
	kind kind
}

func (s store) ShortNames() []string { return s.kind.short }

// status is the subresource of a kind; only that of a node is kept apart from the rest.
type status struct{ store *registry.Store }

func (s status) New() runtime.Object { return s.store.NewFunc() }
func (s status) Destroy()            {}
func (s status) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	return s.store.Get(ctx, name, o)
}
func (s status) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return s.store.Update(ctx, name, info, create, update, false, o)
}

func attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	meta, ok := obj.(metav1.Object)
	if !ok {
		return nil, nil, fmt.Errorf("no metadata")
	}
	set := fields.Set{"metadata.name": meta.GetName(), "metadata.namespace": meta.GetNamespace()}
	return meta.GetLabels(), set, nil
}

func matching(l labels.Selector, f fields.Selector) storage.SelectionPredicate {
	return storage.SelectionPredicate{Label: l, Field: f, GetAttrs: attributes}
}

// install serves the kinds and the reviews of access.
func install(server *genericapiserver.GenericAPIServer, etcd options.EtcdOptions, config *genericapiserver.RecommendedConfig, granted *roles, ranges *net.IPNet) error {
	groups := map[string]map[string]rest.Storage{}
	for _, k := range kinds {
		gv := schema.GroupVersion{Group: k.group, Version: "v1"}
		internal := schema.GroupVersion{Group: k.group, Version: runtime.APIVersionInternal}
		wire := protobuf.NewSerializer(scheme, scheme)
		its := etcd
		its.StorageConfig.Codec = codecs.CodecForVersions(wire, codecs.UniversalDeserializer(), gv, internal)
		its.StorageConfig.EncodeVersioner = gv
		getter := its.CreateRESTOptionsGetter(&options.SimpleStorageFactory{StorageConfig: its.StorageConfig}, config.ResourceTransformers)
		s := strategy{scheme, names.SimpleNameGenerator, k, false, ranges}
		one, list := k.one, k.list
		kept := &registry.Store{
			NewFunc:                   func() runtime.Object { return one.DeepCopyObject() },
			NewListFunc:               func() runtime.Object { return list.DeepCopyObject() },
			PredicateFunc:             matching,
			DefaultQualifiedResource:  schema.GroupResource{Group: k.group, Resource: k.plural},
			SingularQualifiedResource: schema.GroupResource{Group: k.group, Resource: k.singular},
			CreateStrategy:            s,
			UpdateStrategy:            s,
			DeleteStrategy:            s,
			TableConvertor:            rest.NewDefaultTableConvertor(schema.GroupResource{Group: k.group, Resource: k.plural}),
		}
		if err := kept.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter, AttrFunc: attributes}); err != nil {
			return err
		}
		if groups[k.group] == nil {
			groups[k.group] = map[string]rest.Storage{}
		}
		groups[k.group][k.plural] = store{kept, k}
		if k.plural == "nodes" || k.plural == "services" || k.plural == "namespaces" {
			s.status = true
			other := *kept
			other.UpdateStrategy = s
			groups[k.group][k.plural+"/status"] = status{&other}
		}
		if k.plural == "serviceaccounts" {
			groups[k.group]["serviceaccounts/token"] = tokens{}
		}
		switch k.plural {
		case "clusterroles", "clusterrolebindings", "roles", "rolebindings":
			granted.keep(k.plural, kept)
		}
	}
	reviews := map[string]rest.Storage{
		"subjectaccessreviews":     review{config.Authorization.Authorizer, false},
		"selfsubjectaccessreviews": review{config.Authorization.Authorizer, true},
	}
	groups["authorization.k8s.io"] = reviews
	var named []*genericapiserver.APIGroupInfo
	for name, stores := range groups {
		info := genericapiserver.NewDefaultAPIGroupInfo(name, scheme, runtime.NewParameterCodec(scheme), codecs)
		info.PrioritizedVersions = []schema.GroupVersion{{Group: name, Version: "v1"}}
		info.VersionedResourcesStorageMap["v1"] = stores
		if name == "" {
			if err := server.InstallLegacyAPIGroup("/api", &info); err != nil {
				return err
			}
			continue
		}
		named = append(named, &info)
	}
	return server.InstallAPIGroups(named...)
}

// seed makes what every cluster has: its namespaces, the range of cluster IPs, and the Service of the server itself.
func seed(ctx context.Context, client kubernetes.Interface, ranges *net.IPNet) error {
	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	_, err := client.NetworkingV1().ServiceCIDRs().Create(ctx, &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"},
		Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{ranges.String()}}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	ip := append(net.IP{}, ranges.IP.To4()...)
	ip[3]++
	_, err = client.CoreV1().Services("default").Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"},
		Spec: corev1.ServiceSpec{ClusterIP: ip.String(), Ports: []corev1.ServicePort{{Name: "https", Port: 443}}}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}
