"""The kinds of patches; this client chooses by the body's type."""

import unittest

from kubernetes import client
from kubernetes.client.rest import ApiException

import server


class Patch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.api = server.connect()
        cls.addClassCleanup(cls.api.close)
        cls.batch = client.BatchV1Api(cls.api)

    def setUp(self):
        self.name = self._testMethodName.replace("_", "-")
        self.batch.create_namespaced_cron_job("default", server.cron_job(self.name))

    def patch(self, body, **options):
        return self.batch.patch_namespaced_cron_job(self.name, "default", body, **options)

    def containers(self, names):
        containers = [{"name": name, "image": "busybox"} for name in names]
        return {
            "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": containers}}}}}
        }

    def names(self, cron_job):
        spec = cron_job.spec.job_template.spec.template.spec
        return [it.name for it in spec.containers]

    def test_strategic(self):
        merged = self.patch(self.containers(["other"]))
        self.assertEqual(self.names(merged), ["other", "main"])
        gone = self.containers(["other"])
        spec = gone["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        spec["containers"][0] = {"$patch": "delete", "name": "other"}
        self.assertEqual(self.names(self.patch(gone)), ["main"])

    def test_merge(self):
        content = "application/merge-patch+json"
        replaced = self.patch(self.containers(["other"]), _content_type=content)
        self.assertEqual(self.names(replaced), ["other"])

    def test_json(self):
        patched = self.patch(
            [
                {"op": "test", "path": "/spec/schedule", "value": "0 3 * * *"},
                {"op": "replace", "path": "/spec/suspend", "value": True},
            ]
        )
        self.assertTrue(patched.spec.suspend)
        with self.assertRaises(ApiException) as refused:
            self.patch([{"op": "test", "path": "/spec/suspend", "value": False}])
        self.assertEqual(refused.exception.status, 422)

    def test_apply(self):
        content = "application/apply-patch+yaml"
        body = server.cron_job(self.name, schedule="0 5 * * *")
        with self.assertRaises(ApiException) as refused:
            self.patch(body, _content_type=content, field_manager="dev")
        self.assertEqual(refused.exception.status, 409)
        self.assertIn("FieldManagerConflict", refused.exception.body)
        applied = self.patch(body, _content_type=content, field_manager="dev", force=True)
        self.assertEqual(applied.spec.schedule, "0 5 * * *")
        managers = [(it.manager, it.operation) for it in applied.metadata.managed_fields]
        self.assertIn(("dev", "Apply"), managers)

    def test_status(self):
        body = {"status": {"lastScheduleTime": "2024-01-01T00:00:00Z"}}
        self.assertIsNone(self.patch(body).status.last_schedule_time)
        patched = self.batch.patch_namespaced_cron_job_status(self.name, "default", body)
        self.assertEqual(patched.status.last_schedule_time.year, 2024)

    def test_what_may_not_change(self):
        self.batch.create_namespaced_job("default", server.job("fixed", suspend=True))
        with self.assertRaises(ApiException) as refused:
            self.batch.patch_namespaced_job("fixed", "default", {"spec": {"completions": 7}})
        self.assertEqual(refused.exception.status, 422)
        self.assertIn("field is immutable", refused.exception.body)


if __name__ == "__main__":
    unittest.main()
