/* SPDX-License-Identifier: Apache-2.0 */
#include "run/ort_api.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ort_base {
    const void *const *(*get_api)(uint32_t version);
    const char *(*version)(void);
};

static const char how_to_get_it[] =
    "ONNX Runtime is needed to run models: pip install onnxruntime, or name its library with --ort PATH or QONNX_ORT";

/* dlclose is never called, and a library that was unloaded under its own threads would crash: hence NODELETE. */
static void *open_library(const char *path) { return dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE); }

/* The last match in order of names. */
static void *open_match(const char *folder, const char *pattern)
{
    char   path[PATH_MAX];
    glob_t found;
    void  *library = NULL;

    /* A folder whose name holds pattern characters is not worth escaping for: it simply does not match. */
    if (snprintf(path, sizeof path, "%s/%s", folder, pattern) >= (int)sizeof path) return NULL;
    if (glob(path, 0, NULL, &found) != 0) return NULL;
    for (size_t i = found.gl_pathc; i-- > 0 && !library;) library = open_library(found.gl_pathv[i]);
    globfree(&found);
    return library;
}

/* A library file, or a folder that holds it: its own, or that of the Python package. */
static void *open_named(const char *path)
{
    struct stat info;
    void       *library;

    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) return open_library(path);
    library = open_match(path, "libonnxruntime.so*");
    if (!library) library = open_match(path, "lib/libonnxruntime.so*");
    return library ? library : open_match(path, "capi/libonnxruntime.so*");
}

static void *open_beside_executable(void)
{
    char    path[PATH_MAX];
    char   *slash;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    void   *library;

    if (length <= 0) return NULL;
    path[length] = 0;
    if (!(slash = strrchr(path, '/'))) return NULL;
    *slash = 0;
    library = open_match(path, "libonnxruntime.so*");
    return library ? library : open_match(path, "../lib/libonnxruntime.so*");
}

/* Asks python3 where the package is, without importing it and without looking into the current folder. */
static void *open_from_python(void)
{
    static const char command[] = "exec python3 -c 'import sys; sys.path = [p for p in sys.path if p]\n"
                                  "import importlib.util as u; s = u.find_spec(\"onnxruntime\")\n"
                                  "print(s.submodule_search_locations[0] if s else \"\")' 2>/dev/null";
    char              line[PATH_MAX] = "";
    FILE             *pipe = popen(command, "re");
    bool              read;

    if (!pipe) return NULL;
    read = fgets(line, sizeof line, pipe) != NULL;
    if (pclose(pipe) != 0 || !read) return NULL;
    line[strcspn(line, "\n")] = 0;
    return line[0] == '/' ? open_match(line, "capi/libonnxruntime.so*") : NULL;
}

static qonnx_status open_any(void **library, const char *path, qonnx_error *err)
{
    const char *source = "--ort";

    if (!path || !*path) {
        path = getenv("QONNX_ORT");
        source = "QONNX_ORT";
    }
    if (path && *path) { /* asked for by name: nothing else will do */
        const char *why;
        if ((*library = open_named(path))) return QONNX_OK;
        why = dlerror();
        return qn_fail(err, QONNX_E_NO_RUNTIME, "%s: cannot load ONNX Runtime from '%s': %s", source, path,
                       why ? why : "no libonnxruntime.so in this folder");
    }
    *library = open_beside_executable();
    if (!*library) *library = open_library("libonnxruntime.so.1");
    if (!*library) *library = open_library("libonnxruntime.so");
    if (!*library) *library = open_from_python();
    return *library ? QONNX_OK : qn_fail(err, QONNX_E_NO_RUNTIME, "%s", how_to_get_it);
}

qonnx_status qn_ort_api_load(struct ort_api *api, const char *path, qonnx_error *err)
{
    const struct ort_base *(*get_base)(void);
    const struct ort_base *base = NULL;
    const void *const     *table = NULL;
    void                  *library, *symbol;
    const char            *version;
    unsigned               minor = 0;

    QN_TRY(open_any(&library, path, err));
    symbol = dlsym(library, "OrtGetApiBase");
    memcpy(&get_base, &symbol, sizeof symbol);
    if (symbol) base = get_base();
    if (!base) return qn_fail(err, QONNX_E_NO_RUNTIME, "the library found is not ONNX Runtime; %s", how_to_get_it);
    version = base->version();
    /* Release 1.N has interface N; asking for more than it has makes it print. */
    if (sscanf(version, "1.%u", &minor) != 1 || minor > ORT_KNOWN_API) minor = ORT_KNOWN_API;
    if (minor >= ORT_NEEDED_API) table = base->get_api(minor);
    if (!table)
        return qn_fail(err, QONNX_E_NO_RUNTIME, "ONNX Runtime %s is too old: 1.%d or later is needed", version,
                       ORT_NEEDED_API);
#define X(name, place, result, arguments) memcpy(&api->name, &table[place], sizeof api->name);
    ORT_FUNCTIONS(X)
#undef X
    api->api_version = minor;
    api->version = version;
    return QONNX_OK;
}
