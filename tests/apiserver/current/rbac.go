// Authorization by the roles of RBAC, whose authorizer is part of k8s.io/kubernetes.
package main

import (
	"context"
	"fmt"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// roles grants what the stored roles and bindings grant, read from the watch cache for each request.
type roles struct {
	lock   sync.Mutex
	stores map[string]*registry.Store
}

func (r *roles) keep(name string, s *registry.Store) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.stores == nil {
		r.stores = map[string]*registry.Store{}
	}
	r.stores[name] = s
}

func (r *roles) list(ctx context.Context, name, namespace string) (runtime.Object, error) {
	r.lock.Lock()
	s := r.stores[name]
	r.lock.Unlock()
	if s == nil {
		return nil, fmt.Errorf("not ready")
	}
	return s.List(request.WithNamespace(request.NewContext(), namespace), &metainternal.ListOptions{ResourceVersion: "0"})
}

func applies(subjects []rbacv1.Subject, u user.Info) bool {
	for _, s := range subjects {
		switch s.Kind {
		case "User":
			if s.Name == u.GetName() {
				return true
			}
		case "Group":
			for _, g := range u.GetGroups() {
				if g == s.Name {
					return true
				}
			}
		case "ServiceAccount":
			if u.GetName() == "system:serviceaccount:"+s.Namespace+":"+s.Name {
				return true
			}
		}
	}
	return false
}

// everyone is what the real server grants each user that it knows: discovery, and questions about himself.
var everyone = []rbacv1.PolicyRule{
	{Verbs: []string{"get"}, NonResourceURLs: []string{"/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/readyz", "/openapi", "/openapi/*", "/version", "/version/"}},
	{Verbs: []string{"create"}, APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"selfsubjectaccessreviews", "selfsubjectrulesreviews"}},
}

func (r *roles) rules(ctx context.Context, u user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	if u.GetName() != user.Anonymous {
		rules = append(rules, everyone...)
	}
	found, err := r.list(ctx, "clusterroles", "")
	if err != nil {
		return rules, err
	}
	known := map[string][]rbacv1.PolicyRule{}
	for _, one := range found.(*rbacv1.ClusterRoleList).Items {
		known["ClusterRole/"+one.Name] = one.Rules
	}
	if found, err = r.list(ctx, "clusterrolebindings", ""); err != nil {
		return rules, err
	}
	for _, one := range found.(*rbacv1.ClusterRoleBindingList).Items {
		if applies(one.Subjects, u) {
			rules = append(rules, known["ClusterRole/"+one.RoleRef.Name]...)
		}
	}
	if namespace == "" {
		return rules, nil
	}
	if found, err = r.list(ctx, "roles", namespace); err != nil {
		return rules, err
	}
	for _, one := range found.(*rbacv1.RoleList).Items {
		known["Role/"+one.Name] = one.Rules
	}
	if found, err = r.list(ctx, "rolebindings", namespace); err != nil {
		return rules, err
	}
	for _, one := range found.(*rbacv1.RoleBindingList).Items {
		if applies(one.Subjects, u) {
			rules = append(rules, known[one.RoleRef.Kind+"/"+one.RoleRef.Name]...)
		}
	}
	return rules, nil
}

func (r *roles) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	wanted := rbacv1.PolicyRule{Verbs: []string{a.GetVerb()}}
	if a.IsResourceRequest() {
		resource := a.GetResource()
		if a.GetSubresource() != "" {
			resource += "/" + a.GetSubresource()
		}
		wanted.APIGroups, wanted.Resources = []string{a.GetAPIGroup()}, []string{resource}
		if a.GetName() != "" {
			wanted.ResourceNames = []string{a.GetName()}
		}
	} else {
		wanted.NonResourceURLs = []string{a.GetPath()}
	}
	rules, err := r.rules(ctx, a.GetUser(), a.GetNamespace())
	if ok, _ := validation.Covers(rules, []rbacv1.PolicyRule{wanted}); ok {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", err
}

func (r *roles) RulesFor(context.Context, user.Info, string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	return nil, nil, true, nil
}

// review answers what a user, or whoever asks, may do.
type review struct {
	authorizer authorizer.Authorizer
	self       bool
}

func (r review) NamespaceScoped() bool { return false }
func (r review) Destroy()              {}
func (r review) GetSingularName() string {
	if r.self {
		return "selfsubjectaccessreview"
	}
	return "subjectaccessreview"
}
func (r review) New() runtime.Object {
	if r.self {
		return &authorizationv1.SelfSubjectAccessReview{}
	}
	return &authorizationv1.SubjectAccessReview{}
}
func (r review) Create(ctx context.Context, obj runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	var who user.Info
	var what *authorizationv1.ResourceAttributes
	var answer *authorizationv1.SubjectAccessReviewStatus
	switch o := obj.(type) {
	case *authorizationv1.SelfSubjectAccessReview:
		who, _ = request.UserFrom(ctx)
		what, answer = o.Spec.ResourceAttributes, &o.Status
	case *authorizationv1.SubjectAccessReview:
		who = &user.DefaultInfo{Name: o.Spec.User, Groups: o.Spec.Groups}
		what, answer = o.Spec.ResourceAttributes, &o.Status
	}
	record := authorizer.AttributesRecord{User: who, ResourceRequest: true, Verb: what.Verb, Namespace: what.Namespace,
		APIGroup: what.Group, Resource: what.Resource, Subresource: what.Subresource, Name: what.Name, APIVersion: what.Version}
	decision, reason, err := r.authorizer.Authorize(ctx, record)
	answer.Allowed, answer.Reason = decision == authorizer.DecisionAllow, reason
	if err != nil {
		answer.EvaluationError = err.Error()
	}
	return obj, nil
}
