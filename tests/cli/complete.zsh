# SPDX-License-Identifier: Apache-2.0
# zsh complete.zsh FOLDER LINE...: prints what each line becomes when Tab is typed behind it, with _qonnx-quantize of FOLDER.
zmodload zsh/zpty
folder=$1
shift
for line; do
    zpty terminal zsh -f -i
    zpty -w terminal "fpath=(${(q)folder} \$fpath); autoload -U compinit; compinit -u -D; bindkey '^I' shown; stty cols 200
        shown() { zle complete-word; print -r -- \"<<\$BUFFER\"'>>'; }; zle -N shown; print re''ady"
    zpty -r terminal output '*ready*'
    zpty -w -n terminal $line$'\t'
    zpty -r terminal output '*<<*>>*'
    zpty -d terminal
    output=${output%'>>'*}
    print -r -- "[${output##*'<<'}]"
done
