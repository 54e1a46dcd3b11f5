"""The generated client: one method for each operation."""

import base64
import unittest

from kubernetes import client, utils
from kubernetes.client.rest import ApiException

import server


class Typed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.api = server.connect()
        cls.addClassCleanup(cls.api.close)
        cls.batch = client.BatchV1Api(cls.api)
        cls.core = client.CoreV1Api(cls.api)

    def assert_refused(self, code, reason, call, *args, **kwargs):
        with self.assertRaises(ApiException) as refused:
            call(*args, **kwargs)
        self.assertEqual((refused.exception.status, refused.exception.reason), (code, reason))
        return refused.exception.body

    def test_version(self):
        version = client.VersionApi(self.api).get_code()
        self.assertEqual((version.major, version.minor), ("1", "36"))

    def test_a_job_runs_to_its_end(self):
        container = client.V1Container(name="main", image="busybox", command=["echo", "hello"])
        made = self.batch.create_namespaced_job(
            "default",
            client.V1Job(
                metadata=client.V1ObjectMeta(name="typed", labels={"tier": "typed"}),
                spec=client.V1JobSpec(
                    completions=2,
                    template=client.V1PodTemplateSpec(
                        spec=client.V1PodSpec(restart_policy="Never", containers=[container])
                    ),
                ),
            ),
        )
        self.assertEqual(made.spec.backoff_limit, 6)

        def complete():
            status = self.batch.read_namespaced_job_status("typed", "default").status
            return any(it.type == "Complete" for it in status.conditions or []) and status

        self.assertEqual(server.soon(complete).succeeded, 2)
        jobs = self.batch.list_namespaced_job("default", label_selector="tier=typed").items
        self.assertEqual([it.metadata.name for it in jobs], ["typed"])
        pods = self.core.list_namespaced_pod("default", label_selector="job-name=typed").items
        self.assertEqual([it.status.phase for it in pods], ["Succeeded"] * 2)
        name = pods[0].metadata.name
        self.assertEqual(self.core.read_namespaced_pod_log(name, "default"), "hello\n")
        self.assertEqual(
            self.core.read_namespaced_pod_log(name, "default", tail_lines=1, timestamps=True)[-6:],
            "hello\n",
        )
        field = f"involvedObject.uid={made.metadata.uid}"
        events = self.core.list_namespaced_event("default", field_selector=field).items
        self.assertIn("Completed", [it.reason for it in events])

    def test_a_cron_job_is_made_changed_and_gone(self):
        self.batch.create_namespaced_cron_job("default", server.cron_job("typed"))
        read = self.batch.read_namespaced_cron_job("typed", "default")
        self.assertEqual(read.spec.concurrency_policy, "Allow")
        read.spec.schedule = "0 4 * * *"
        self.batch.replace_namespaced_cron_job("typed", "default", read)
        body = self.assert_refused(
            409, "Conflict", self.batch.replace_namespaced_cron_job, "typed", "default", read
        )
        self.assertIn("the object has been modified", body)
        self.batch.delete_namespaced_cron_job("typed", "default")
        self.assert_refused(
            404, "Not Found", self.batch.read_namespaced_cron_job, "typed", "default"
        )

    def test_what_is_wrong_is_said(self):
        wrong = server.job("Wrong", backoffLimit=-1)
        body = self.assert_refused(
            422, "Unprocessable Entity", self.batch.create_namespaced_job, "default", wrong
        )
        self.assertIn("spec.backoffLimit: Invalid value: -1", body)

    def test_other_kinds(self):
        secret = client.V1Secret(
            metadata=client.V1ObjectMeta(generate_name="typed-"), string_data={"a": "b"}
        )
        secret = self.core.create_namespaced_secret("default", secret)
        self.assertEqual(base64.b64decode(secret.data["a"]), b"b")
        self.assertRegex(secret.metadata.name, "^typed-[a-z0-9]{5}$")
        self.core.delete_collection_namespaced_secret("default")
        self.assertEqual(self.core.list_namespaced_secret("default").items, [])
        (node,) = self.core.list_node().items
        ready = [it.status for it in node.status.conditions if it.type == "Ready"]
        self.assertEqual(ready, ["True"])

    def test_a_namespace_has_what_pods_need_and_takes_all_along(self):
        namespace = client.V1Namespace(metadata=client.V1ObjectMeta(name="typed"))
        self.core.create_namespace(namespace)
        server.soon(lambda: self.core.list_namespaced_service_account("typed").items)
        server.soon(lambda: self.core.list_namespaced_config_map("typed").items)
        self.batch.create_namespaced_job("typed", server.job("a", "sleep 600"))
        self.core.delete_namespace("typed")
        server.soon(
            lambda: "typed" not in [it.metadata.name for it in self.core.list_namespace().items]
        )
        self.assertEqual(self.batch.list_namespaced_job("typed").items, [])

    def test_who_am_i_and_what_may_i(self):
        review = client.AuthenticationV1Api(self.api).create_self_subject_review(
            client.V1SelfSubjectReview()
        )
        self.assertTrue(review.status.user_info.username)
        access = client.V1SelfSubjectAccessReview(
            spec=client.V1SelfSubjectAccessReviewSpec(
                resource_attributes=client.V1ResourceAttributes(
                    group="batch", resource="jobs", verb="create", namespace="default"
                )
            )
        )
        authorization = client.AuthorizationV1Api(self.api)
        self.assertTrue(authorization.create_self_subject_access_review(access).status.allowed)
        request = client.AuthenticationV1TokenRequest(
            spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600)
        )
        token = self.core.create_namespaced_service_account_token("default", "default", request)
        self.assertEqual(token.status.token.count("."), 2)

    def test_pages(self):
        for n in range(5):
            metadata = client.V1ObjectMeta(name=f"page-{n}", labels={"page": "yes"})
            self.core.create_namespaced_config_map(
                "default", client.V1ConfigMap(metadata=metadata)
            )
        names, token = [], None
        while token != "":
            page = self.core.list_namespaced_config_map(
                "default", label_selector="page", limit=2, **({"_continue": token} if token else {})
            )
            names += [it.metadata.name for it in page.items]
            token = page.metadata._continue or ""
        self.assertEqual(names, [f"page-{n}" for n in range(5)])

    def test_a_manifest_is_created(self):
        utils.create_from_dict(self.api, server.job("from-file"))
        with self.assertRaises(utils.FailToCreateError) as refused:
            utils.create_from_dict(self.api, server.job("from-file"))
        self.assertEqual(refused.exception.api_exceptions[0].status, 409)


if __name__ == "__main__":
    unittest.main()
