//! Somebody who has no mouse: the tab key leads to every control, and a form is filled in and sent.

use serde_json::{Value, json};

use super::browser::Browser;
use crate::Result;

/// Presses of the tab key after which a page has no end.
const TABS_MAX: usize = 600;
/// Numbers what can have the focus and is shown, and gives how many there are.
const NUMBER_CONTROLS: &str = "(() => {
    const controls = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
        .filter(one => one.type !== 'hidden' && !one.disabled && one.tabIndex >= 0
            && one.checkVisibility({ visibilityProperty: true }));
    controls.forEach((one, number) => { one.dataset.gateNumber = number; });
    document.activeElement?.blur();
    return controls.length;
})()";
/// Which of them has the focus.
const FOCUSED: &str = "document.activeElement?.dataset?.gateNumber ?? null";
/// What one is called.
const NAMED: &str = "(number => {
    const one = document.querySelector(`[data-gate-number='${number}']`);
    return `${one.tagName.toLowerCase()} ${one.id || one.name || one.textContent.trim().slice(0, 40)}`;
})";

/// The controls of a page that the tab key never comes to.
pub(super) fn out_of_reach(browser: &mut Browser) -> Result<Vec<String>> {
    let count = browser.evaluate(NUMBER_CONTROLS)?.as_u64().unwrap_or_default() as usize;
    let mut reached = vec![false; count];
    for _ in 0..TABS_MAX.min(2 * count + 2) {
        browser.press("Tab")?;
        let focused = browser.evaluate(FOCUSED)?;
        if let Some(number) = focused.as_str().and_then(|number| number.parse::<usize>().ok())
            && let Some(reached) = reached.get_mut(number)
        {
            *reached = true;
        }
        if reached.iter().all(|reached| *reached) {
            break;
        }
    }
    let missed = reached.iter().enumerate().filter(|(_, reached)| !**reached);
    missed
        .map(|(number, _)| {
            let named = browser.evaluate(&format!("{NAMED}({number})"))?;
            Ok(named.as_str().unwrap_or_default().to_owned())
        })
        .collect()
}

/// Presses the tab key until a control has the focus; false where it never has.
fn tab_to(browser: &mut Browser, selector: &str) -> Result<bool> {
    let selector = Value::from(selector);
    for _ in 0..TABS_MAX {
        browser.press("Tab")?;
        if browser.evaluate(&format!("document.activeElement?.matches({selector}) ?? false"))? == true {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Fills controls in, one after the other, and sends their form by the key for that.
fn fill_in(browser: &mut Browser, filled: &[(&str, &str)]) -> Result<Option<String>> {
    for (selector, text) in filled {
        if !tab_to(browser, selector)? {
            return Ok(Some(format!("the tab key never comes to {selector}")));
        }
        browser.call("Input.insertText", json!({ "text": text }))?;
    }
    browser.take_happened();
    browser.press("Enter")?;
    browser.wait_for_page()?;
    Ok(None)
}

/// Signs in with a token, and says what went wrong.
pub(super) fn sign_in(browser: &mut Browser, address: &str, token: &str) -> Result<Vec<String>> {
    browser.go_to(&format!("{address}/"))?;
    if let Some(wrong) = fill_in(browser, &[("main input:not([type=hidden])", token)])? {
        return Ok(vec![format!("signing in: {wrong}")]);
    }
    let place = browser.evaluate("location.pathname")?;
    let heading = browser.evaluate("document.querySelector('h1')?.textContent ?? ''")?;
    let is_in = place == "/" && browser.evaluate("document.body.textContent.includes('ann')")? == true;
    Ok(if is_in { Vec::new() } else { vec![format!("signing in leads to {place}: {heading}")] })
}

/// Gives a command by its form, with scripts and without, and says what went wrong.
pub(super) fn give_command(browser: &mut Browser, address: &str) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for is_off in [false, true] {
        browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": is_off }))?;
        browser.go_to(&format!("{address}/console/send/account/deposit"))?;
        let given = fill_in(
            browser,
            &[
                ("main input[name='id']", "Assets:Cash"),
                ("main [name$='amount']", "1"),
                ("main [name$='commodity']", "EUR"),
            ],
        )?;
        let said = browser.evaluate("document.querySelector('main')?.textContent ?? ''")?;
        let is_done = said.as_str().is_some_and(|said| said.contains("deposited"));
        let scripts = if is_off { "off" } else { "on" };
        wrong.extend(given.map(|wrong| format!("a form, scripts {scripts}: {wrong}")));
        if !is_done {
            wrong.push(format!("a form, scripts {scripts}: it says {said}"));
        }
    }
    browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": false }))?;
    Ok(wrong)
}
