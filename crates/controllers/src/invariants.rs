//! What must hold after every commit that touches a Job.
