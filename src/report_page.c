/* SPDX-License-Identifier: Apache-2.0
 * The HTML report: src/report_page.html with the text report and the long JSON report put in. */
#include <string.h>

#include "report.h"

static const char page[] = {
#include "report_page.inc"
};

/* As content of an element. */
static void put_text(struct qn_strbuf *html, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            qn_strbuf_puts(html, "&lt;");
        else if (*text == '&')
            qn_strbuf_puts(html, "&amp;");
        else
            qn_strbuf_add(html, text, 1);
    }
}

/* As content of a script element, which any "<" might end. */
static void put_json(struct qn_strbuf *html, const char *json)
{
    for (; *json; json++) {
        if (*json == '<')
            qn_strbuf_puts(html, "\\u003c");
        else
            qn_strbuf_add(html, json, 1);
    }
}

static void put_report(struct qn_strbuf *html, const char *text, const char *json)
{
    static const char text_mark[] = "@TEXT@", json_mark[] = "@JSON@";
    const char       *at_text = strstr(page, text_mark), *at_json = at_text ? strstr(at_text, json_mark) : NULL;

    if (!at_json) return; /* a page without marks shows nothing: a test looks */
    qn_strbuf_add(html, page, (size_t)(at_text - page));
    put_text(html, text);
    at_text += strlen(text_mark);
    qn_strbuf_add(html, at_text, (size_t)(at_json - at_text));
    put_json(html, json);
    qn_strbuf_puts(html, at_json + strlen(json_mark));
}

qonnx_status qn_report_page(const struct qn_report *report, struct qn_strbuf *html, qonnx_error *err)
{
    struct qn_strbuf text, valid, json;
    qonnx_status     status;

    qn_strbuf_init(&text);
    qn_strbuf_init(&valid);
    qn_strbuf_init(&json);
    status = qn_report_long_text(report, &text, err);
    if (status == QONNX_OK) status = qn_report_long_json(report, &json, err);
    if (status == QONNX_OK) {
        qn_put_valid_utf8(&valid, text.text);
        put_report(html, valid.text, json.text);
    }
    if (status == QONNX_OK && (html->failed || valid.failed)) status = qn_fail_nomem(err);
    qn_strbuf_release(&json);
    qn_strbuf_release(&valid);
    qn_strbuf_release(&text);
    return status;
}
