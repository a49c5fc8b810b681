//! The engine: it begins exchanges, and answers what needs no question.

use otp_grant_bindings::{ApiRequest, ArgumentError, HostVerdict, Refusal, Step, Verification};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::exchange::{Exchange, Outcome, outcome};
use crate::secret::Text;
use crate::values::{Headers, configuration};

/// The server without its store and directory.
#[pyclass(frozen, module = "otp_grant._core")]
pub(crate) struct Engine(otp_grant_bindings::Engine);

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (configuration, observer=None, numbering_plan=None, budget=None))]
    fn new(
        py: Python<'_>,
        configuration: Text,
        observer: Option<Py<PyAny>>,
        numbering_plan: Option<Py<PyAny>>,
        budget: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let mut builder =
            otp_grant_bindings::Engine::builder(configuration.as_str()).map_err(crate::values::configuration)?;
        if let Some(observer) = observer {
            builder = builder.observer(move |event| {
                let _: Option<()> = call(&observer, (event,), |_| Ok(()));
            });
        }
        if let Some(plan) = numbering_plan {
            builder = builder.numbering_plan(move |text| call(&plan, (text,), |number| number.extract()).flatten());
        }
        if let Some(budget) = budget {
            builder = builder.budgets(move |channel, address| {
                call(&budget, (channel, address), |name| name.extract()).unwrap_or_else(|| NO_BUDGET.to_owned())
            });
        }
        py.detach(|| builder.build()).map(Self).map_err(crate::values::configuration)
    }

    /// Begins to answer a request. `None`: the path is not that of an endpoint.
    #[pyo3(signature = (method, path, headers, body, verdict="none"))]
    fn begin(
        &self,
        py: Python<'_>,
        method: &str,
        path: &str,
        headers: &Bound<'_, PyAny>,
        body: &Bound<'_, PyBytes>,
        verdict: &str,
    ) -> PyResult<Option<Exchange>> {
        let headers = Headers::read(headers)?;
        let body = body.as_bytes();
        let verdict =
            HostVerdict::from_name(verdict).ok_or_else(|| configuration("verdict: there is no such verdict"))?;
        let step = py.detach(|| self.0.begin_with_verdict(method, path, headers.iter(), body, verdict));
        Ok(step.map(Exchange::new))
    }

    #[pyo3(signature = (token, client=None, scope=None))]
    fn check_access_token(
        &self,
        py: Python<'_>,
        token: Text,
        client: Option<&str>,
        scope: Option<&str>,
    ) -> PyResult<Exchange> {
        begun(py.detach(|| self.0.check_access_token(token.as_str(), client, scope)))
    }

    /// Checks the access token of a request.
    #[pyo3(signature = (method, external_url, headers, client=None, scope=None))]
    fn check_request(
        &self,
        py: Python<'_>,
        method: &str,
        external_url: &str,
        headers: &Bound<'_, PyAny>,
        client: Option<&str>,
        scope: Option<&str>,
    ) -> PyResult<Exchange> {
        let request = api_request(method, external_url, headers)?;
        begun(py.detach(|| self.0.check_access_token(request, client, scope)))
    }

    #[pyo3(signature = (client, usage, channel, address, otp_token, otp, code_verifier=None, proof=None, device_token=None))]
    #[expect(clippy::too_many_arguments, reason = "the members of one request")]
    fn verify(
        &self,
        py: Python<'_>,
        client: &str,
        usage: &str,
        channel: &str,
        address: Text,
        otp_token: Text,
        otp: Text,
        code_verifier: Option<Text>,
        proof: Option<(Text, Text, Bound<'_, PyAny>)>,
        device_token: Option<Text>,
    ) -> PyResult<Exchange> {
        let (address, otp_token, otp) = (address.as_str(), otp_token.as_str(), otp.as_str());
        let code_verifier = code_verifier.as_ref().map(Text::as_str);
        let proof =
            proof.map(|(method, url, headers)| api_request(method.as_str(), url.as_str(), &headers)).transpose()?;
        let device_token = device_token.as_ref().map(Text::as_str);
        let request =
            Verification { client, usage, channel, address, otp_token, otp, code_verifier, proof, device_token };
        begun(py.detach(|| self.0.verify(request)))
    }

    /// Checks the access token of a request offline.
    #[pyo3(signature = (method, external_url, headers, client=None, scope=None))]
    fn verify_request<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        external_url: &str,
        headers: &Bound<'_, PyAny>,
        client: Option<&str>,
        scope: Option<&str>,
    ) -> PyResult<Outcome<'py>> {
        let request = api_request(method, external_url, headers)?;
        let verified = py.detach(|| self.0.verify_access_token(request, client, scope));
        Ok(outcome(py, &verified.map_err(configuration)?))
    }

    /// Tells what an address has left.
    fn explain(&self, py: Python<'_>, channel: &str, address: Text) -> PyResult<Exchange> {
        begun(py.detach(|| self.0.explain(channel, address.as_str())))
    }

    /// Clears the counted guesses and sends of an address and of its devices.
    fn unlock(&self, py: Python<'_>, channel: &str, address: Text) -> PyResult<Exchange> {
        begun(py.detach(|| self.0.unlock(channel, address.as_str())))
    }

    /// Makes an address forget its devices.
    fn forget_devices(&self, py: Python<'_>, channel: &str, address: Text) -> PyResult<Exchange> {
        begun(py.detach(|| self.0.forget_devices(channel, address.as_str())))
    }

    fn revoke_session(&self, py: Python<'_>, session: &str) -> PyResult<Exchange> {
        begun(py.detach(|| self.0.revoke_session(session)))
    }

    fn check_keyring(&self, py: Python<'_>) -> Exchange {
        Exchange::new(py.detach(|| self.0.check_keyring()))
    }

    fn announce_new_keyring(&self, py: Python<'_>) -> Exchange {
        Exchange::new(py.detach(|| self.0.announce_new_keyring()))
    }

    /// Checks an access token offline.
    #[pyo3(signature = (token, client=None, scope=None))]
    fn verify_access_token<'py>(
        &self,
        py: Python<'py>,
        token: Text,
        client: Option<&str>,
        scope: Option<&str>,
    ) -> PyResult<Outcome<'py>> {
        let verified: Result<Result<String, Refusal>, ArgumentError> =
            py.detach(|| self.0.verify_access_token(token.as_str(), client, scope));
        Ok(outcome(py, &verified.map_err(configuration)?))
    }

    #[getter]
    fn issuer(&self) -> &str {
        self.0.issuer()
    }

    fn routes(&self) -> String {
        self.0.routes()
    }

    fn key_set(&self) -> String {
        self.0.key_set()
    }

    fn normalise_address(&self, channel: &str, text: &str) -> PyResult<String> {
        self.0.normalise_address(channel, text).map_err(configuration)
    }
}

fn api_request(method: &str, external_url: &str, headers: &Bound<'_, PyAny>) -> PyResult<ApiRequest> {
    let headers = Headers::read(headers)?;
    ApiRequest::new(method, external_url, headers.iter()).map_err(configuration)
}

fn begun(step: Result<Step, ArgumentError>) -> PyResult<Exchange> {
    step.map(Exchange::new).map_err(configuration)
}

/// Calls a function of the host. What it raises is reported by `sys.unraisablehook`.
fn call<'a, T>(
    function: &Py<PyAny>,
    arguments: impl for<'py> pyo3::call::PyCallArgs<'py> + 'a,
    read: impl FnOnce(Bound<'_, PyAny>) -> PyResult<T>,
) -> Option<T> {
    Python::try_attach(|py| {
        let answer = function.bind(py).call1(arguments).and_then(read);
        answer.map_err(|error| error.write_unraisable(py, Some(function.bind(py)))).ok()
    })
    .flatten()
}

/// The budget of every address for which the function of the host fails. All of them share it: a failure must not give
/// an attacker more guesses.
const NO_BUDGET: &str = "the function that names budgets has failed";
