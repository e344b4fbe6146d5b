//! The look of a page: no network, light and dark by the reader's setting, and printable.

use modelgate_evaluate::Theme;

/// Returns the style sheet.
pub(crate) fn style() -> String {
    let variables = |theme: Theme| {
        theme.named().iter().map(|(name, value)| format!("--{name}:{value};")).collect::<String>()
    };
    format!(
        ":root{{color-scheme:light dark;{}}}@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}\
         body{{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--background);max-width:62rem;margin:2rem auto;padding:0 1rem}}\
         table{{border-collapse:collapse;width:100%;margin:.5rem 0;font-size:.9rem}}th,td{{border-bottom:1px solid var(--grid);padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:break-word}}th{{white-space:nowrap}}.many th{{white-space:normal}}\
         th{{color:var(--pale);font-weight:600}}td.n{{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}}\
         .wide{{overflow-x:auto}}td.s{{min-width:17em;overflow-wrap:anywhere}}td.o{{white-space:nowrap}}td.c{{min-width:6em}}small{{color:var(--pale)}}@media (max-width:50rem){{th{{white-space:normal}}}}\
         .passed{{color:var(--third)}}.failed{{color:var(--other);font-weight:700}}.verdict{{font-size:1.2rem;border-left:.4rem solid var(--pale);padding-left:.8rem}}\
         .verdict.failed{{border-color:var(--other)}}.verdict.passed{{border-color:var(--third)}}\
         figure{{margin:1rem 0}}svg{{max-width:100%;height:auto}}.plots{{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:1rem}}code{{overflow-wrap:anywhere}}\
         @media print{{:root{{color-scheme:light}}body{{max-width:none;margin:0}}.wide{{overflow:visible}}table{{font-size:.7rem}}th,td{{padding:.2rem .3rem}}th{{white-space:normal}}td{{min-width:5em;overflow-wrap:anywhere}}td.n,td.o{{min-width:0;overflow-wrap:normal}}td.s{{min-width:14em}}.plots{{grid-template-columns:1fr 1fr}}figure,tr{{break-inside:avoid}}details>*{{display:block}}}}",
        variables(Theme::LIGHT),
        variables(Theme::DARK)
    )
}

/// Returns a light SVG whose colours follow the page's.
pub(crate) fn follow_page(svg: &str) -> String {
    let mut text = svg.to_owned();
    for (name, colour) in Theme::LIGHT.named() {
        text = text.replace(&format!("\"{colour}\""), &format!("\"var(--{name})\""));
    }
    // The picture keeps its proportions at any width.
    text.replacen(
        "width=\"720\" height=\"600\" viewBox=\"0 0 720 600\"",
        "viewBox=\"0 0 720 600\" width=\"720\" height=\"600\" role=\"img\"",
        1,
    )
}
