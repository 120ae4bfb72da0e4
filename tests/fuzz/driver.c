/* SPDX-License-Identifier: Apache-2.0
 * Runs a fuzz target over files and folders of files, where there is no fuzzer: TARGET PATH… An empty folder is an error,
 * so that a corpus cannot vanish unseen. */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"

static size_t ran;

static int run_file(const char *path, size_t size)
{
    FILE    *file = fopen(path, "rb");
    uint8_t *bytes = malloc(size ? size : 1); /* of this very size, so that a sanitizer sees each read past it */
    int      failed = !file || !bytes || fread(bytes, 1, size, file) != size;

    if (failed) {
        fprintf(stderr, "%s: cannot read\n", path);
    } else {
        LLVMFuzzerTestOneInput(bytes, size);
        ran++;
    }
    if (file) fclose(file);
    free(bytes);
    return failed;
}

static int run_path(const char *path);

static int run_folder(const char *path)
{
    struct dirent **entries;
    int             count = scandir(path, &entries, NULL, alphasort), failed = count < 0;

    for (int i = 0; i < count; i++) {
        char *inner = NULL;
        if (entries[i]->d_name[0] != '.' && asprintf(&inner, "%s/%s", path, entries[i]->d_name) >= 0)
            failed |= run_path(inner);
        free(inner);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
    return failed;
}

static int run_path(const char *path)
{
    struct stat info;

    if (stat(path, &info) == 0) return S_ISDIR(info.st_mode) ? run_folder(path) : run_file(path, (size_t)info.st_size);
    fprintf(stderr, "%s: not found\n", path);
    return 1;
}

int main(int argc, char **argv)
{
    int failed = 0;

    for (int i = 1; i < argc; i++) failed |= run_path(argv[i]);
    printf("%zu inputs\n", ran);
    return failed || !ran;
}
