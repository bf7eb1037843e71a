//! Findings that both stores report alike.

use gristmill_core::Diagnosis;

const CHECK: &str = "requests";

/// The finding on requests that cannot be applied. `faulty` of them are set aside; `oldest` is the number and
/// the fault of the first one.
///
/// ```
/// let found = gristmill_sql::requests_finding(2, Some((17, "the verb `stop` is not known".to_owned())));
/// assert_eq!(found.finding, "2 are set aside; 17: the verb `stop` is not known");
/// assert!(gristmill_sql::requests_finding(0, None).ok);
/// ```
pub fn requests_finding(faulty: u64, oldest: Option<(i64, String)>) -> Diagnosis {
    let Some((request, fault)) = oldest.filter(|_| faulty > 0) else {
        return Diagnosis::fine(CHECK, "none is set aside");
    };
    let remedy = format!(
        "if what the fault names is mended, `UPDATE requests SET fault = NULL WHERE request = {request}` has it tried \
        again; else store a valid request in its place, then `DELETE FROM requests WHERE request = {request}`"
    );
    let are = if faulty == 1 { "is" } else { "are" };
    Diagnosis::trouble(CHECK, format!("{faulty} {are} set aside; {request}: {fault}"), remedy)
}

/// The finding on requests that wait to be applied, which workers do within seconds. `oldest` is the number
/// of the first one.
///
/// ```
/// use gristmill_sql::waiting_requests_finding;
///
/// let found = waiting_requests_finding(2, Some(17), false);
/// assert_eq!(found.finding, "2 wait, the oldest is request 17, and no worker is alive");
/// assert!(waiting_requests_finding(2, Some(17), true).ok);
/// ```
pub fn waiting_requests_finding(waiting: u64, oldest: Option<i64>, is_served: bool) -> Diagnosis {
    let Some(oldest) = oldest else { return Diagnosis::fine(CHECK, "none waits") };
    let wait = if waiting == 1 { "waits" } else { "wait" };
    let finding = format!("{waiting} {wait}, the oldest is request {oldest}");
    if is_served {
        return Diagnosis::fine(CHECK, finding);
    }
    let remedy = "start a worker: it applies the requests that callers have stored";
    Diagnosis::trouble(CHECK, format!("{finding}, and no worker is alive"), remedy)
}
