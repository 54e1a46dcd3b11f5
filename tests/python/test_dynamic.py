"""The dynamic client: it knows kinds by the server's own discovery."""

import unittest

from kubernetes import dynamic
from kubernetes.dynamic.exceptions import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    ResourceNotFoundError,
)

import server


class Dynamic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        api = server.connect()
        cls.addClassCleanup(api.close)
        cls.client = dynamic.DynamicClient(api)

    def kind(self, api_version, kind):
        return self.client.resources.get(api_version=api_version, kind=kind)

    def test_discovery(self):
        kinds = {(it.group_version, it.kind) for it in self.client.resources.search()}
        self.assertLessEqual(
            {("batch/v1", "Job"), ("batch/v1", "CronJob"), ("v1", "Pod")}, kinds
        )
        self.assertEqual(self.kind("batch/v1", "CronJob").short_names, ["cj"])
        with self.assertRaises(ResourceNotFoundError):
            self.kind("apps/v2", "Deployment")

    def test_a_job_from_its_creation_to_its_end(self):
        jobs = self.kind("batch/v1", "Job")
        made = jobs.create(body=server.job("dynamic"), namespace="default")
        self.assertEqual(made.spec.backoffLimit, 6)
        with self.assertRaises(ConflictError):
            jobs.create(body=server.job("dynamic"), namespace="default")
        for event in jobs.watch(
            namespace="default", field_selector="metadata.name=dynamic", timeout=30
        ):
            conditions = event["object"].status.conditions or []
            if any(it.type == "Complete" for it in conditions):
                break
        pods = self.kind("v1", "Pod").get(namespace="default", label_selector="job-name=dynamic")
        self.assertEqual([it.status.phase for it in pods.items], ["Succeeded"])
        jobs.delete(name="dynamic", namespace="default", propagation_policy="Background")
        with self.assertRaises(NotFoundError):
            jobs.get(name="dynamic", namespace="default")

    def test_unknown_fields(self):
        jobs = self.kind("batch/v1", "Job")
        # The typed client would not even send it.
        wrong = server.job("wrong", nothing=1)
        strict = [("fieldValidation", "Strict")]
        with self.assertRaises(BadRequestError) as refused:
            jobs.create(body=wrong, namespace="default", query_params=strict)
        self.assertIn('unknown field \\"spec.nothing\\"', refused.exception.body)
        jobs.create(body=wrong, namespace="default")

    def test_patches(self):
        cron_jobs = self.kind("batch/v1", "CronJob")
        cron_jobs.create(body=server.cron_job("dynamic"), namespace="default")
        body = {"metadata": {"name": "dynamic"}, "spec": {"suspend": True}}
        for content in ["strategic-merge-patch+json", "merge-patch+json"]:
            patched = cron_jobs.patch(
                body=body, namespace="default", content_type=f"application/{content}"
            )
            self.assertTrue(patched.spec.suspend)
        patched = cron_jobs.patch(
            name="dynamic",
            body=[{"op": "remove", "path": "/spec/suspend"}],
            namespace="default",
            content_type="application/json-patch+json",
        )
        self.assertFalse(patched.spec.suspend)
        applied = cron_jobs.server_side_apply(
            body={
                "apiVersion": "batch/v1",
                "kind": "CronJob",
                "metadata": {"name": "dynamic", "labels": {"tier": "night"}},
            },
            namespace="default",
            field_manager="dynamic",
        )
        self.assertEqual(applied.metadata.labels.tier, "night")
        read = cron_jobs.get(name="dynamic", namespace="default")
        status = cron_jobs.status.get(name="dynamic", namespace="default")
        self.assertEqual(status.metadata.resourceVersion, read.metadata.resourceVersion)
        replaced = read.to_dict()
        replaced["spec"]["schedule"] = "0 6 * * *"
        cron_jobs.replace(body=replaced, namespace="default")
        with self.assertRaises(ConflictError):
            cron_jobs.replace(body=replaced, namespace="default")


if __name__ == "__main__":
    unittest.main()
